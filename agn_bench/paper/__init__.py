"""The paper's tables, figures and claims, ours beside the published ones. From CSV files: nothing here trains.

published.py   the published numbers
runs.py        the runs of a size (quick, reduced, paper) that are there
grid.py        AGN and EASGD over workers and local steps: efficiencies, wins, accuracy against workers, agreement
curves.py      where curves end, and how smooth they are
tuning.py      every optimizer at its best
beale.py       AGN's paths on the Beale function
stability.py   where AGN is stable, by the timeline alone
claims.py      what the paper's text claims, judged by measures.py and rules set beforehand
computed.py    the tables that need no training; computing.py makes them
drawing.py     each table and figure
artefacts.py   what there is to reproduce: of each table and figure its name, its runs, what the report says
report.py      REPRODUCTION.md
"""
