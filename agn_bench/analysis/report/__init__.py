"""A page that one can send: what runs have given, as one file that shows itself in any browser, without a network.

    document.py     what the page says, as one JSON document, from the CSV files of experiment folders alone
    cells.py        numbers and cells of the document
    lines.py        the curves, along every axis, with no more points than can be seen
    numbers.py      the tables: configurations, runs, maps over workers and local steps, paired differences
    phases.py       what workers did when, and how stale their commits were, of runs whose own folders are there
    claims.py       the paper's claims, of its folders
    making.py       what made the runs: commands, commits, machines, versions
    page.py         the document and what shows it in one file
    web/            what shows it: the page's frame, its style, and its program in order of page.py
    echarts/        the library that draws its charts, as it was released

Knows CSV files and what `table` and `plot` say of them, nothing of how runs are made.
"""
