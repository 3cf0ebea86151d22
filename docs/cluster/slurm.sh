#!/bin/sh
# A job array of 64 tasks at one run: sbatch slurm.sh
# Every task gives the same command. --requeue starts a preempted task again. SLURM sends SIGTERM 30 s
# before it kills, and the task then gives up its claims.
#SBATCH --job-name=jaxadv
#SBATCH --array=0-63
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#SBATCH --signal=TERM@30
: "${SHARED:=/shared}" # a folder that all nodes see, with weights/ and val/
exec jaxadv evaluate --zoo=imagenet --weights_dir="$SHARED/weights" \
    --data="imagefolder:$SHARED/val" --selection=study --out="$SHARED/run" \
    --compilation_cache="$SHARED/programs" --noprogress --join
