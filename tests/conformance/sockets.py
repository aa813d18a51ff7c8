"""The Autobahn fuzzing client (Python 2.7) against an echo of our sockets: `sockets.py PACKAGES URL FOLDER`."""
import json
import os
import site
import sys

packages, url, folder = sys.argv[1:4]
# Twisted and zope are namespace packages, which a mere path does not make.
site.addsitedir(packages)
from autobahntestsuite import wstest  # noqa: E402

# 9 is about speed, with messages of up to 16 MiB; 12 and 13 are compression, which the library does not have: a client that
# offers it is answered without.
SPEC = {
    "outdir": folder,
    "servers": [{"agent": "midplane", "url": url}],
    "cases": ["*"],
    "exclude-cases": ["9.*", "12.*", "13.*"],
    "exclude-agent-cases": {},
}
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")

with open(os.path.join(folder, "spec.json"), "w") as spec:
    json.dump(SPEC, spec)
sys.argv = ["wstest", "-m", "fuzzingclient", "-s", spec.name]
wstest.run()

with open(os.path.join(folder, "index.json")) as index:
    cases = json.load(index)["midplane"]
counts = {}
for case in cases.values():
    counts[case["behavior"]] = counts.get(case["behavior"], 0) + 1
bad = sorted(name for name, case in cases.items() if case["behavior"] not in GOOD or case["behaviorClose"] not in GOOD)
loose = sorted(name for name, case in cases.items() if case["behavior"] == "NON-STRICT")
print("Autobahn: %d cases, %s" % (len(cases), ", ".join("%s %d" % count for count in sorted(counts.items()))))
if loose:
    print("not strict: " + ", ".join(loose))
if bad:
    print("failed: " + ", ".join(bad) + "; see " + os.path.join(folder, "index.html"))
    sys.exit(1)
