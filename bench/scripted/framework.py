"""The frameworks that are measured: the system written in each, and the environment that it needs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SYSTEMS = Path(__file__).parent.parent / "frameworks"
QUIET = {"OTEL_SDK_DISABLED": "true", "DO_NOT_TRACK": "1", "ANONYMIZED_TELEMETRY": "false"}


@dataclass(frozen=True)
class Framework:
    system: str  # a file in frameworks/
    environment: str
    packages: tuple[str, ...]
    api: str = "chat"

    @property
    def in_node(self) -> bool:
        return self.system.endswith(".mjs")

    def home(self, environments: Path) -> Path:
        return environments.absolute() / self.environment

    def command(self, environments: Path) -> list[str]:
        home = self.home(environments)
        program = "node" if self.in_node else str(home / "bin" / "python")
        return [program, str(SYSTEMS / self.system)]

    def is_installed(self, environments: Path) -> bool:
        home = self.home(environments)
        if self.in_node:
            return all((home / "node_modules" / package).is_dir() for package in self.packages)
        return (home / "installed").is_file()

    def install(self, environments: Path) -> None:
        home = self.home(environments)
        if self.in_node:
            home.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", home, *self.packages], check=True)
            return
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *self.packages], check=True)
        (home / "installed").write_text("\n".join(self.packages) + "\n", encoding="utf-8")

    def variables(self, environments: Path, naming: str) -> dict[str, str]:
        return QUIET | {"API": self.api, "NAMING": naming, "MODULES": str(self.home(environments))}


AI_SDK = ("ai", "@ai-sdk/openai", "zod")
FRAMEWORKS = {
    "openai": Framework("openai_system.py", "openai", ("openai",)),
    "openai responses": Framework("openai_system.py", "openai", ("openai",), "responses"),
    "pydantic-ai": Framework("pydantic_ai_system.py", "pydantic_ai", ("pydantic-ai-slim[openai]",)),
    "smolagents": Framework("smolagents_system.py", "smolagents", ("smolagents[openai]",)),
    "autogen": Framework("autogen_system.py", "autogen", ("autogen-agentchat", "autogen-ext[openai]")),
    "openai-agents": Framework("openai_agents_system.py", "openai_agents", ("openai-agents",)),
    "openai-agents responses": Framework("openai_agents_system.py", "openai_agents", ("openai-agents",), "responses"),
    "ai-sdk": Framework("ai_sdk_system.mjs", "ai_sdk", AI_SDK),
    "ai-sdk responses": Framework("ai_sdk_system.mjs", "ai_sdk", AI_SDK, "responses"),
}
