"""The dashboard that Grafana is given."""

import json

from embedded.paths import CHECKOUT

MONITORING = CHECKOUT / "deploy" / "monitoring"
DASHBOARD = json.loads(
    (MONITORING / "grafana" / "dashboards" / "market-data.json").read_text(encoding="utf-8")
)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
