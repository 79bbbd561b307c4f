#!/bin/sh
# Run a command for an entry point of MLproject: sh pipelines/entry_point.sh COMMAND…
# An option whose value is empty is left out: the command's own default holds.
set -eu

left=$#
while [ "$left" -gt 0 ]; do
    if [ "${1#--}" != "$1" ] && [ "$left" -gt 1 ] && [ -z "$2" ]; then
        shift
        left=$((left - 1))
    else
        set -- "$@" "$1"
    fi
    shift
    left=$((left - 1))
done

# The environment that MLflow activated, else the one that `make` set up.
PATH="${VIRTUAL_ENV:-$PWD/.venv}/bin:$PATH"
PYTHONPATH="$PWD"
export PATH PYTHONPATH
# Commands record their own runs: none may take itself for the run that `mlflow run` opened.
unset MLFLOW_RUN_ID MLFLOW_EXPERIMENT_ID
exec "$@"
