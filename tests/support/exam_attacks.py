"""Programs that try to pass without being right, to stay, or to hurt."""

from __future__ import annotations

FAILS = {"wrong", "exception", "cpu timeout", "out of memory", "killed by signal", "sandbox violation"}
ATTACKS = {
    "prints a forged verdict": """
        import os
        print("pass", flush=True)
        for fd in range(64):
            try:
                os.write(fd, b'pass\\n')
            except OSError:
                pass
        os._exit(0)
    """,
    "answers every call by a forged verdict": """
        import os
        def f(x):
            for fd in range(64):
                try:
                    os.write(fd, b'["verdict", "pass"]\\n')
                except OSError:
                    pass
    """,
    "returns an object that equals everything": """
        class Everything(int):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = None
        def f(x): return Everything(7)
    """,
    "claims to be of a plain type": """
        class Everything:
            __class__ = int
            def __eq__(self, other): return True
            def __repr__(self): return "2"
        def f(x): return Everything()
    """,
    "hides such an object in a list": """
        class Everything(list):
            def __eq__(self, other): return True
        def f(x): return [Everything()]
    """,
    "is a function that equals everything": """
        class Everything:
            def __call__(self, x): return self
            def __eq__(self, other): return True
        f = Everything()
    """,
    "exits 0 before the tests": "import os\nos._exit(0)",
    "exits 0 during the tests": "import os\ndef f(x): os._exit(0)",
    "exits 0 by a raw system call": "import ctypes\ndef f(x): ctypes.CDLL(None).syscall(231, 0)",
    "raises SystemExit in the tests": "def f(x): raise SystemExit(0)",
    "raises what stops other harnesses": "def f(x): raise KeyboardInterrupt",
    "replaces the reply's encoder": """
        import json
        json.dumps = lambda *_, **__: '["pass"]'
        def f(x): return None
    """,
    "patches builtins": """
        import builtins
        builtins.all = builtins.any = builtins.bool = lambda *_: True
        builtins.type = lambda _: int
        builtins.AssertionError = ValueError
        def f(x): return None
    """,
    "patches the runner's own modules": """
        import sys
        for name, module in list(sys.modules.items()):
            if name.startswith("inside"):
                module.same = module._verdict = module._judge = lambda *_: "pass"
        def f(x): return None
    """,
    "answers once and leaves": """
        import os
        calls = []
        def f(x):
            calls.append(x)
            if len(calls) > 1: os._exit(0)
            return 2
    """,
    "answers with deep nesting": """
        import json
        json.dumps = lambda *_, **__: '["value", ' + '[' * 500000
        def f(x): return None
    """,
    "answers with a literal that is none": """
        import json
        json.dumps = lambda *_, **__: '["value", {"exec": "pass"}]'
        def f(x): return None
    """,
    "walks the frames for the expected results": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame:
                for name in ("tests", "expected", "results", "request"):
                    found = frame.f_locals.get(name)
                    if isinstance(found, dict):
                        found = found.get("tests") or found.get("expected")
                    if found:
                        return found[0][1]
                frame = frame.f_back
    """,
    "searches the memory for the expected results": """
        import gc
        def f(x):
            for found in gc.get_objects():
                if type(found) is dict and found.get("tests"):
                    return found["tests"][0][1]
    """,
    "reads a system file": "open('/etc/passwd').read()\ndef f(x): return x + 1",
    "reads its own command line": "open('/proc/self/cmdline').read()\ndef f(x): return x + 1",
    "opens a socket": "import socket\nsocket.socket()\ndef f(x): return x + 1",
    "traces its parent": "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\ndef f(x): return x + 1",
    "makes a user namespace": "import ctypes\nctypes.CDLL(None).unshare(0x10000000)\ndef f(x): return x + 1",
    "floods its output": "while True: print('x' * 65536, flush=True)",
    "floods its reply": "def f(x): return 'x' * (1 << 22)",
    "fills the disk": """
        import itertools
        for n in itertools.count():
            with open(f"big{n}", "wb") as file: file.write(bytes(1 << 20))
    """,
    "allocates 10 GB": "def f(x): return len(bytearray(10 << 30))",
    "is a fork bomb": "import os\nwhile True: os.fork()\ndef f(x): return x + 1",
    "leaves a daemon": """
        import os
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True: pass
        def f(x): return x + 1
    """,
    "starts another program": "import subprocess\nsubprocess.run(['sleep', '1000'])\ndef f(x): return x + 1",
    "ignores the CPU limit's signal": """
        import signal
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True: pass
    """,
    "kills its guard": """
        import os, signal
        os.kill(os.getppid(), signal.SIGKILL)
        def f(x): return x + 1
    """,
    "stops everything it can reach": "import os, signal\nos.kill(-1, signal.SIGSTOP)\ndef f(x): return x + 1",
}
