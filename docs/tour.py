# %% [markdown]
# # A tour: from a question to an answer
#
# *40 workers are to train one model. Their network is slow: a message takes 3 seconds each way. Which method should
# they use, and how many steps should a worker make before it sends something?*
#
# This notebook answers it in four moves. It asks the clock, looks at what the workers do, trains a few times, and
# compares. It takes less than a minute. The numbers that it prints are computed; none of them is typed.
#
# First the question is put into the program's words. `setting` describes a run: the machines and the network, the
# network that is trained, and for how many simulated seconds. `RunConfig.of` takes the options of `agn-bench run`.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from agn_bench import RunConfig, curve, run, summary
from agn_bench.clock.measures import measures
from agn_bench.studies.advice import advise
from agn_bench.training.timing import timeline_of

WORKERS, SECONDS = 40, 60
SLOW = ["up.mean=3", "down.mean=3", "server.mean=0.1"]


def setting(workers=WORKERS, **options):
    return RunConfig.of(
        delays="paper-cluster", delay=SLOW, model="mlp-64", batch_size=32, workers=workers, seconds=SECONDS, **options
    )


# %% [markdown]
# ## Ask the clock
#
# *Local steps* are those that a worker makes on its own before it sends what they added up to; λ is their number. With
# few of them workers mostly wait for the network. But λ has to be large enough for another reason, too: while a worker
# computes, the others change the parameters, and AGN is stable only if λ is large enough for that many workers.
#
# The clock knows without training anything which λ that is. A row is a number of workers.

# %%
advice = advise([setting(workers, local_steps=1) for workers in (10, 20, WORKERS)])  # whose λ is replaced
shown = ["workers", "local_steps", "growth_rate", "gradient_steps_per_s", "mean_staleness", "compute_share"]
print(pd.DataFrame(advice.rows)[shown].round(2).to_string(index=False))
print(advice.reason)
ADVISED = advice.rows[-1]["local_steps"]

# %% [markdown]
# ## Look at what the workers do
#
# A *timeline* is all that happens, without any training. A *commit* is what a worker sends. Its *staleness* counts how
# often the parameters at the server have changed since the worker got its own. Here λ = 1 stands next to the λ that
# was advised.

# %%
timelines = {steps: timeline_of(setting(local_steps=steps)) for steps in (1, ADVISED)}
seen = pd.DataFrame({f"λ = {steps}": measures(one, endless=True) for steps, one in timelines.items()})
print(seen.loc[["exchanges", "gradient_steps_per_s", "mean_staleness", "compute_share"]].round(2))

# %% [markdown]
# More local steps hardly change the staleness: in both cases nearly all the other workers come in between. But they
# change what the time is spent on. The picture shows it for a few workers: a dark bar is computing, and a light one is
# the network and the server.

# %%
figure, rows = plt.subplots(2, 1, figsize=(8, 4), sharex=True, layout="constrained")
for axes, (steps, one) in zip(rows, timelines.items(), strict=True):
    for worker in range(6):
        mine = one.worker == worker
        start, end, back = one.start_s[mine], one.compute_end_s[mine], one.resume_s[mine]
        axes.barh(0 * start + worker, end - start, left=start, color="C0")
        axes.barh(0 * start + worker, back - end, left=end, color="C1", alpha=0.3)
    axes.set(title=f"λ = {steps}", ylabel="worker", xlim=(0, SECONDS))
rows[-1].set_xlabel("simulated time (s)")
assert seen.loc["compute_share"].iloc[0] < 0.1 < 0.5 < seen.loc["compute_share"].iloc[1]
assert seen.loc["mean_staleness"].min() > 0.8 * (WORKERS - 1)

# %% [markdown]
# ## Train twice
#
# Now a small network learns digits in exactly that order. Both runs use AGN, which divides what a worker sends by λ.
# They differ in λ alone, and have the same simulated time.

# %%
runs = {f"agn, λ = {steps}": run(setting(optimizer="agn", local_steps=steps)) for steps in (1, ADVISED)}


def compared():
    columns = ["status", "exchanges", "gradient_steps", "mean_staleness", "train_accuracy", "test_accuracy"]
    return pd.DataFrame({name: summary(made) for name, made in runs.items()}).T[columns].sort_values("test_accuracy")


print(compared().to_string())
assert compared().index[-1] == f"agn, λ = {ADVISED}"

# %% [markdown]
# ## Compare the methods
#
# The second half of the question is the method. DOWNPOUR adds up whatever arrives. EASGD moves worker and server a
# little towards each other. They get the same λ, the same machines and the same simulated time. More methods are listed
# by `agn-bench list`, and any of them can stand here.

# %%
for method in ("downpour", "easgd"):
    runs[f"{method}, λ = {ADVISED}"] = run(setting(optimizer=method, local_steps=ADVISED))
print(compared().to_string())

# %% [markdown]
# ## Plot
#
# The last accuracy alone says little about the way to it. `curve` gives what was measured on the way, as a table. Here
# it is the accuracy of the workers on the digits that they train on.

# %%
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for name, made in runs.items():
    points = curve(made)
    axes.plot(points["time_s"], points["train_accuracy"], label=name)
axes.set(xlabel="simulated time (s)", ylabel="training accuracy", xlim=(0, SECONDS), ylim=(0, 1))
axes.legend()

# %% [markdown]
# ## The answer
#
# The answer is made from the runs. A single seed does not decide between methods that are close to each other. For that
# the option `seed` gives more runs, and [compare at equal time](compare-at-equal-time.md) says how to judge them. But a
# single seed does show which runs have learned and which are guessing.

# %%
accuracy = compared()["test_accuracy"].astype(float)
learned = [name for name in accuracy.index if accuracy[name] > 0.8]
failed = [name for name in accuracy.index if accuracy[name] < 0.3]
print(f"{WORKERS} workers with this network: {ADVISED} steps at a time.")
print(f"These learned: {'; '.join(learned)}. These did not: {'; '.join(failed)}.")
assert sorted([*learned, *failed]) == sorted(runs)
assert all(name.endswith(f"λ = {ADVISED}") for name in learned)
