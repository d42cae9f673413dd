# make demo | test | bench | lint | clean; whichever comes first sets .venv up.
#
# PIP_ARGS  further arguments of the installation: make PIP_ARGS="--no-cache-dir" demo
# TORCH     another torch than the tested one: make clean && make TORCH="torch==2.13.0" test
# ARGS      further arguments of pytest: make ARGS="-k recipe -x" test

SHELL := /bin/sh
.SHELLFLAGS := -euc
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test bench lint clean
# Without it every first start compiles torch, and where Python may not write byte code every start does.
export UV_COMPILE_BYTECODE := 1

empty :=
comma := ,
# pip reads these by itself, uv under names of its own.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(subst $(empty) $(empty),$(comma),$(PIP_FIND_LINKS))
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: .venv/.ok
	@.venv/bin/unitdisc run speech/demo --out runs/demo

# One thread per worker: more of them than cores make each other wait.
test: .venv/.ok
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto $(ARGS)

# The peers come with the extra `bench`; the largest case needs 7 GB. Quarter of an hour on a quiet machine.
bench: .venv/.ok
	@if ! .venv/bin/python -c 'import vector_quantize_pytorch, sklearn, faiss' 2>/dev/null; then
	    if uv --version >/dev/null 2>&1; then uv pip install --python .venv/bin/python $(PIP_ARGS) --editable '.[bench]'
	    else .venv/bin/python -m pip install $(PIP_ARGS) --editable '.[bench]'; fi
	fi
	.venv/bin/python tests/benchmarks/codebook.py $(ARGS)
	.venv/bin/python tests/benchmarks/clustering.py $(ARGS)

lint: .venv/.ok
	@.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

clean:
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/.ok: pyproject.toml constraints.txt
	@has_uv() { uv --version >/dev/null 2>&1; }
	for name in python3.11 python3.12 python3.13 python3 none; do
	    "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && break
	done
	if [ "$$name" = none ]; then
	    has_uv || { echo "unitdisc needs Python 3.11 or newer: apt-get install python3 python3-venv" >&2; exit 1; }
	    name=3.11  # uv fetches it
	fi
	host_pip=
	if ! has_uv && ! "$$name" -c 'import ensurepip' 2>/dev/null; then
	    echo "Debian's package python3-venv is missing (apt-get install python3-venv), and so is uv." >&2
	    "$$name" -m pip --version >/dev/null 2>&1 || exit 1
	    echo "Going on with the pip of $$name." >&2
	    host_pip=yes
	fi
	if [ -n "$(TORCH)" ]; then
	    echo "Installing $(TORCH) and 0.2 GB of other packages into .venv."
	else
	    echo "Installing into .venv: downloads about 2.6 GB (torch with CUDA), 4.6 GB on disk."
	    echo "Takes 4 minutes at 100 Mbit/s and 1 more to unpack; nothing is downloaded a second time."
	fi
	if ! .venv/bin/python -c '' 2>/dev/null; then
	    rm -rf .venv
	    if has_uv; then uv venv --quiet --seed --python "$$name" .venv
	    elif [ -n "$$host_pip" ]; then "$$name" -m venv --without-pip .venv
	    else "$$name" -m venv .venv; fi
	fi
	install() {
	    if has_uv; then uv pip install --python .venv/bin/python $(PIP_ARGS) "$$@"
	    elif [ -n "$$host_pip" ]; then "$$name" -m pip --python .venv/bin/python install $(PIP_ARGS) "$$@"
	    else .venv/bin/python -m pip install $(PIP_ARGS) "$$@"; fi
	}
	constraints=constraints.txt
	if [ -n "$(TORCH)" ]; then
	    constraints=.venv/constraints.txt
	    grep -v -E '^(torch|torchaudio)==' constraints.txt > "$$constraints"
	    install --constraint "$$constraints" "$(TORCH)"
	    .venv/bin/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> "$$constraints"
	fi
	install --constraint "$$constraints" --editable '.[dev]'
	touch .venv/.ok
