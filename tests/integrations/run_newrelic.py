"""The service under `newrelic-admin run-program`: each transaction with its tree of calls, as the agent keeps it."""

from typing import Any

import newrelic.agent
from newrelic.core.stats_engine import StatsEngine

from service import build, converse, count_modes, report

transactions: list[Any] = []
record = StatsEngine.record_transaction


def keep(engine: StatsEngine, transaction: Any) -> None:
    transactions.append(transaction)
    record(engine, transaction)


def tree(node: Any) -> list[Any]:
    return [type(node).__name__, getattr(node, "name", None), [tree(child) for child in node.children]]


def as_data(transaction: Any) -> Any:
    return {
        "path": transaction.path,
        "tree": tree(transaction.root),
        "errors": sorted((error.type, error.message) for error in transaction.errors),
        "attributes": {
            each.name: each.value
            for each in transaction.agent_attributes
            if not each.name.startswith(("thread.", "process."))
        },
    }


StatsEngine.record_transaction = keep  # type: ignore[method-assign]
modes = count_modes()
newrelic.agent.register_application(timeout=10.0)
answers = converse(build())
report(answers, [as_data(each) for each in transactions], modes)
