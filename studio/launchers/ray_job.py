"""The program of a Ray job: `python -m studio.launchers.ray_job ARGUMENTS` is the driver of a run there."""

import base64
import json
import sys

from studio.launchers import ray_driver

if __name__ == "__main__":
    values = json.loads(base64.urlsafe_b64decode(sys.argv[1]))
    sys.exit(ray_driver.main(ray_driver.Arguments(**values)))
