#!/bin/bash
# Written by `xdist submit`. To start the same run again by hand:
#   bash start.sh NUMBER  on every host, with its number in the file hostfile, from 0
set -u
cd -- '/home/two words' || exit 1
export RUN='/home/two words/runs/target' PYTHON=/opt/env/bin/python
while IFS= read -r line; do export "${line?}"; done <"$RUN/job/environment"
exec "$PYTHON" -m deepspeed.launcher.runner --hostfile "$RUN/job/hostfile" --master_addr gpu1 \
  --master_port 29500 --force_multi --no_ssh --node_rank "$1" \
  --no_local_rank --module xdist.train "$RUN/config.yaml"
