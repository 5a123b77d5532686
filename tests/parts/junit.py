"""Reads JUnit reports as CI servers do, and prints a line of JSON a file: the sums and every test case.

The XML is read by expat, the report by junitparser. A fault is a file that either refuses, or whose sums are not those of its cases.
"""

import json
import sys

from junitparser import Error, Failure, JUnitXml

faults = 0
for path in sys.argv[1:]:
    try:
        report = JUnitXml.fromfile(path)
    except Exception as error:  # whatever the parser says is the finding
        print(f"{path}: {error}", file=sys.stderr)
        faults += 1
        continue
    suites, cases = [], []
    for suite in report:
        own = list(suite)
        results = [result for case in own for result in case.result]
        counted = {
            "tests": len(own),
            "failures": sum(isinstance(result, Failure) for result in results),
            "errors": sum(isinstance(result, Error) for result in results),
        }
        said = {"tests": suite.tests, "failures": suite.failures, "errors": suite.errors}
        if counted != said:
            print(f"{path}: the suite {suite.name} says {said}, its cases are {counted}", file=sys.stderr)
            faults += 1
        suites.append(counted)
        for case in own:
            result = case.result[0] if case.result else None
            cases.append(
                {
                    "suite": suite.name,
                    "name": case.name,
                    "class": case.classname,
                    "time": case.time,
                    "result": type(result).__name__ if result else None,
                    "message": result.message if result else None,
                    "text": result.text if result else None,
                }
            )
    total = {key: sum(suite[key] for suite in suites) for key in ("tests", "failures", "errors")}
    said = {"tests": report.tests, "failures": report.failures, "errors": report.errors}
    if total != said:
        print(f"{path}: the report says {said}, its suites are {total}", file=sys.stderr)
        faults += 1
    print(json.dumps({"sums": total, "cases": cases}))
sys.exit(1 if faults else 0)
