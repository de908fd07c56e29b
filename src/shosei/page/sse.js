// Server-sent events out of a stream of bytes.

/**
 * The data of each event of a ReadableStream of bytes. A character whose bytes come in two pieces comes out whole. The
 * last event counts even where its empty line is missing, as some servers leave it out.
 */
export async function* events(stream) {
  let data = [];
  for await (const line of lines(stream)) {
    if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
    else if (line === "" && data.length) {
      yield data.join("\n");
      data = [];
    }
  }
  if (data.length) yield data.join("\n");
}

async function* lines(stream) {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = "";
  try {
    for (let done = false; !done; ) {
      const piece = await reader.read();
      done = piece.done;
      rest += done ? decoder.decode() : decoder.decode(piece.value, { stream: true });
      // A CR at the end may be half of a CRLF.
      const parts = rest.split(/\r\n|\n|\r(?!$)/);
      rest = parts.pop();
      yield* parts;
    }
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {}); // it may have failed already, and then there is nothing to cancel
  }
}
