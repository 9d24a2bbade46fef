#!/bin/bash
# A real SLURM of two nodes, n1 and n2, on loopback only, all of it below the folder $1. Says `ready` and lives until its
# standard input closes. To be started by `unshare --mount`: /etc/hosts gives the nodes an address in that mount namespace only.
set -eu
D=$1 P=$2 H=$(hostname -s)
chmod 755 "$D" # munged refuses a folder that others cannot enter
mkdir "$D"/{state,spool.n1,spool.n2}
echo "127.0.0.1 localhost $H n1 n2" >"$D/hosts"
mount --bind "$D/hosts" /etc/hosts
head -c 1024 /dev/urandom >"$D/munge.key"
chmod 600 "$D/munge.key"
mknod "$D/gpu0" c 1 3 # so that --gpus-per-node=1 is a valid wish
printf 'AutoDetect=off\nName=gpu File=%s/gpu0\n' "$D" >"$D/gres.conf"
cat >"$D/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$H(127.0.0.1)
SlurmctldPort=$P
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$D/munge.sock,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool.%n
SlurmctldPidFile=$D/slurmctld.pid
SlurmdPidFile=$D/slurmd.%n.pid
SlurmctldLogFile=$D/slurmctld.log
SlurmdLogFile=$D/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=10
MinJobAge=14400
SchedulerParameters=bf_interval=1,sched_interval=1
GresTypes=gpu
NodeName=n1 NodeHostname=$H NodeAddr=127.0.0.1 Port=$((P + 1)) CPUs=4 RealMemory=1000 Gres=gpu:1
NodeName=n2 NodeHostname=$H NodeAddr=127.0.0.1 Port=$((P + 2)) CPUs=4 RealMemory=1000 Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$D/slurm.conf
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait' EXIT
munged --foreground --key-file="$D/munge.key" --socket="$D/munge.sock" --pid-file="$D/munge.pid" --seed-file="$D/munge.seed" \
  </dev/null >"$D/munge.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do [ -S "$D/munge.sock" ] && break; sleep 0.1; done
[ -S "$D/munge.sock" ]
slurmctld -D </dev/null >"$D/ctld.out" 2>&1 &
pids+=($!)
for n in n1 n2; do
  slurmd -D -N "$n" </dev/null >"$D/slurmd.$n.out" 2>&1 &
  pids+=($!)
done
for _ in $(seq 150); do
  [ "$(sinfo -h -N -o %T 2>/dev/null | grep -c idle)" = 2 ] && break
  sleep 0.2
done
[ "$(sinfo -h -N -o %T | grep -c idle)" = 2 ]
echo ready
read -r _ || true
