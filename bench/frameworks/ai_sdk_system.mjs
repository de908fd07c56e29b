// The AI SDK in Node, in its default, the Responses API, or in chat. A handoff is a tool that nobody executes: the
// application goes on with the writer. `MODULES` is the folder whose node_modules are used.
import { createRequire } from 'node:module';
import readline from 'node:readline';

const modules = createRequire(`${process.env.MODULES}/package.json`);
const { generateText, Output, stepCountIs, streamText, tool } = modules('ai');
const { createOpenAI } = modules('@ai-sdk/openai');
const { z } = modules('zod');

const FOUNDED = { Kyoto: '794', Nara: '710' };
const asked = z.object({ query: z.string() });
const prompt = (agent) => `You are the ${agent} of a small team. Do your part of the task and say what came out.`;

function model(task, agent) {
  const naming = process.env.NAMING ?? 'path';
  const provider = createOpenAI({
    baseURL: naming === 'path' ? `${task.base_url.replace(/\/v1$/, '')}/a/${agent}/v1` : task.base_url,
    apiKey: naming === 'key' ? `agent:${agent}` : 'none',
    headers: naming === 'header' ? { 'x-agent': agent } : {},
  });
  return process.env.API === 'responses' ? provider(task.model) : provider.chat(task.model);
}

function options(task, agent, question, tools) {
  return {
    model: model(task, agent),
    system: prompt(agent),
    prompt: question,
    tools,
    maxRetries: 3,
    stopWhen: stepCountIs(6),
    ...(agent === 'manager' && task.id === 'structured'
      ? { output: Output.object({ schema: z.object({ answer: z.string() }) }) }
      : {}),
  };
}

const lookup = tool({
  description: 'The year in which a city was founded.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    if (!FOUNDED[city]) throw new Error(`no such city: ${city}`);
    return FOUNDED[city];
  },
});

async function research(task, question) {
  return (await generateText(options(task, 'researcher', question, { lookup }))).text;
}

async function write(task, question) {
  return await streamText({ ...options(task, 'writer', question), onError() {} }).text;
}

async function manage(task) {
  const execute = (work) => async ({ query }) => work(task, query);
  const tools = {
    ask_researcher: tool({ description: 'Find out.', inputSchema: asked, execute: execute(research) }),
    ...(task.id === 'handoff'
      ? { transfer_to_writer: tool({ description: 'Let the writer answer.', inputSchema: asked }) }
      : { ask_writer: tool({ description: 'Write it down.', inputSchema: asked, execute: execute(write) }) }),
  };
  const done = await generateText(options(task, 'manager', task.question, tools));
  if (done.toolCalls.some((call) => call.toolName === 'transfer_to_writer')) return await write(task, task.question);
  return task.id === 'structured' ? done.output.answer : done.text;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  if (line.trim()) process.stdout.write(`${(await manage(JSON.parse(line))).trim()}\n`);
}
