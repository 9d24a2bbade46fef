#!/bin/bash
# Written by `xdist submit`. To start the same run again by hand:
#   bash start.sh         on one machine, which reaches all hosts by ssh
set -u
cd -- /home/me || exit 1
export RUN=/home/me/runs/target PYTHON=/opt/env/bin/python
export DS_ENV_FILE="$RUN/job/environment" # the launcher hands these variables on to the hosts
exec "$PYTHON" -m deepspeed.launcher.runner --hostfile "$RUN/job/hostfile" --master_addr gpu1 \
  --master_port 29500 --force_multi \
  --no_local_rank --module xdist.train "$RUN/config.yaml"
