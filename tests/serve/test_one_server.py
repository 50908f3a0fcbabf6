"""Two databases of one server, each a target: what belongs to the server is told and drawn once."""

from dataclasses import replace

from pgwatch_wed.serve.notify.inhibition import inhibited
from pgwatch_wed.serve.one_server import stand_ins
from pgwatch_wed.serve.pages.recent import Recent
from pgwatch_wed.serve.state import Alert, Collected, Family, Sample, ServiceState
from pgwatch_wed.target.collect import collect
from tests.servers import Server

NAME = "pgwatch_wed_connections"


def alert(target: str, **more: str) -> Alert:
    labels = {"severity": "critical", "topic": "connections", "target": target, **more}
    return Alert("ConnectionsExhausted", tuple(labels.items()), (), "firing", 1.0, 0.0, 0.0)


def test_what_two_targets_say_of_one_server_is_told_and_drawn_once(pg: Server) -> None:
    with pg.database() as shop, pg.database() as crm:
        one, two = collect(shop), collect(crm)
    standby = replace(
        one, server=replace(one.server, started_at=one.server.started_at.replace(year=2000))
    )
    read = {"shop": one, "crm": two, "standby": standby, "away": None}
    targets = {name: Collected(name, snapshot) for name, snapshot in read.items()}
    assert stand_ins(targets) == {"crm": "shop"}
    alerts = [alert(name) for name in targets] + [alert("crm", database="crm")]
    told = [a for a in inhibited(alerts, 1.0, one_server=stand_ins(targets)) if not a.inhibited_by]
    assert [dict(a.labels)["target"] for a in told] == ["shop", "standby", "away", "crm"]
    samples = tuple(Sample(NAME, (("target", name),), 7.0) for name in targets)
    recent = Recent()
    families = {"metrics": (Family(NAME, "gauge", "", samples),)}
    recent.sample(ServiceState(targets=targets, families=families), 60.0)
    assert recent.points("connections") == ((60.0, 21.0),)
