"""The paper's tables: `livervlm reproduce`."""

import argparse

from .shared import NOT_FOR_DIAGNOSIS, chosen_profile


def reproduce(arguments: argparse.Namespace) -> None:
    """Run rows, or with `--list` say which there are."""
    if arguments.list:
        _list_rows(arguments)
    else:
        _run_rows(arguments)


def _run_rows(arguments: argparse.Namespace) -> None:
    from joblib import cpu_count

    from ..runs.cells import cells, on_one_device, sized
    from ..runs.cohorts import make_pools
    from ..runs.results import Runs
    from ..runs.rows import select
    from ..runs.runner import run

    chosen = select(arguments.row or (), arguments.table, arguments.set)
    profile, protocol = sized(chosen_profile(arguments)), arguments.protocol
    out_of_reach = {row.name: why for row in chosen if (why := row.method.why_not(profile))}
    able = [row for row in chosen if row.name not in out_of_reach]
    abreast = arguments.jobs or cpu_count()
    todo = cells(able, protocol, arguments.cohorts, profile, arguments.test_patients, abreast)
    on_one_device(todo, arguments.out)
    if not arguments.dask:
        make_pools([cell for cell in todo if not cell.path(arguments.out).exists()], arguments.jobs)
    counts = run(todo, arguments.out, jobs=arguments.jobs, dask=arguments.dask)
    print(
        f"{arguments.out}: {counts['now']} cells run, {counts['before']} were there before, "
        f"{counts['elsewhere']} are being run by another process"
    )
    print(Runs(protocol, arguments.out, profile, arguments.test_patients).summary(able).to_string())
    for name, why in out_of_reach.items():
        print(f"not run: {name}: {why}")
    print(NOT_FOR_DIAGNOSIS)


def _list_rows(arguments: argparse.Namespace) -> None:
    from ..runs.cells import coverage
    from ..runs.rows import select

    recorded = coverage()
    for row in select(arguments.row or (), arguments.table, arguments.set):
        printed = ", ".join(f"{table}: {model}" for table, model in row.printed) or "control"
        mean, sd = row.printed_figures.get("acc", (None, None))
        figure = f"; the paper's accuracy: {mean:.2f} ± {sd:.2f} %" if mean else ""
        print(f"{row.name}  [{row.set}]\n    {printed}{figure}\n    needs: {row.method.needs}")
        found = recorded.loc[row.name]
        five = f", five folds of {found['of five folds']}" if found["of five folds"] else ""
        done = f"{found['cohorts']} cohorts{five}"
        print(f"    recorded: {found['open'] or done}")
