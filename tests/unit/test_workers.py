"""Which process executes a run, as its tags say."""

from types import SimpleNamespace

import dagster as dg

from stock_assets.workers import Worker, claim_run, worker_of


@dg.job
def job():
    pass


def test_a_run_is_executed_by_who_claimed_it_and_a_retry_by_nobody_until_it_is_claimed():
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(job)
        assert worker_of(run) is None
        claim_run(SimpleNamespace(instance=instance, run=run))
        claimed = instance.get_run_by_id(run.run_id)
        assert worker_of(claimed) == Worker.this()
        assert not Worker.this().is_gone()
        # Dagster gives a retry the tags of the run that it repeats.
        retry = instance.create_run_for_job(job, tags=claimed.tags)
        assert retry.tags.keys() >= claimed.tags.keys()
        assert worker_of(retry) is None
