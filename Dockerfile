# agn-bench in a container, with the versions it was tested with:
#   docker build --tag agn-bench .
#   docker run --rm --volume "$PWD/results:/home/agn/results" agn-bench run --workers 40
# The folder on this machine has to be writable for the container's user, whose number is 1000.
FROM python:3.11-slim

WORKDIR /source
COPY pyproject.toml hatch_build.py requirements.lock README.md LICENSE NOTICES.md ./
COPY agn_bench agn_bench
COPY experiments experiments
RUN pip install --no-cache-dir --constraint requirements.lock . && useradd --uid 1000 --create-home agn

USER agn
WORKDIR /home/agn
ENTRYPOINT ["agn-bench"]
