"""A model behind OpenAI's chat completions with transformers and http.server: one answer at a time, not streamed.

python transformers_server.py MODEL PORT
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
turn = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": "model", "object": "model"}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = tokenizer.apply_chat_template(
            asked["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with turn:
            output = model.generate(**prompt, max_new_tokens=asked.get("max_tokens", 64), do_sample=False)
        answer = output[0, prompt["input_ids"].shape[1] :]
        message = {"role": "assistant", "content": tokenizer.decode(answer, skip_special_tokens=True)}
        usage = {"prompt_tokens": prompt["input_ids"].shape[1], "completion_tokens": len(answer)}
        self.reply({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})

    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
