"""What authors of actions test with: an embedded cluster, on which an action runs as it would in its pod.

Belongs here: the few names below. Does not belong here: what kubernaut's own tests need besides.

    async def test_it() -> None:
        async with trial_of(label_pod) as trial:
            await trial.add(pod)
            report = await trial.run({"namespace": "shop", "pod": "web", "key": "seen"})
            assert report.succeeded, report.message
"""

from kubernaut.testing.trial import Report, Trial, trial_of

__all__ = ["Report", "Trial", "trial_of"]
