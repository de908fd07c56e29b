"""A small language model of bytes, trained by plain DistributedDataParallel: a script that knows nothing of shosei.

torchrun ... ddp_train.py TEXT MODEL.pt
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

LENGTH, BATCH, WIDTH, EPOCHS = 64, 8, 256, 3


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(256, WIDTH)
        self.body = nn.GRU(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.head = nn.Linear(WIDTH, 256)

    def forward(self, ids):
        return self.head(self.body(self.embedding(ids))[0])


dist.init_process_group("gloo")
torch.manual_seed(0)
torch.set_num_threads(1)
text = torch.tensor(list(Path(sys.argv[1]).read_bytes()))
rows = TensorDataset(text[: len(text) // (LENGTH + 1) * (LENGTH + 1)].view(-1, LENGTH + 1))
sampler = DistributedSampler(rows)
loader = DataLoader(rows, BATCH, sampler=sampler, drop_last=True)
model = DistributedDataParallel(Model())
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
step, world = 0, dist.get_world_size()
for epoch in range(1, EPOCHS + 1):
    sampler.set_epoch(epoch)
    for (batch,) in loader:
        logits = model(batch[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if dist.get_rank() == 0:
            print(
                f"epoch {epoch} step {step} loss {loss.item():.4f} "
                f"tokens {world * BATCH * LENGTH} samples {world * BATCH}"
            )
if dist.get_rank() == 0:
    torch.save(model.module.state_dict(), sys.argv[2])
dist.destroy_process_group()
