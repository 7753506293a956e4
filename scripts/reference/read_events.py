"""Prints the scalars of a folder of TensorBoard event files as JSON: {tag: [[x, value], ...]}.

python read_events.py FOLDER        (needs the package tensorboard)
"""

import json
import sys

from tensorboard.backend.event_processing import event_accumulator

# 0 keeps every point; the default thins long curves out.
events = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={event_accumulator.SCALARS: 0})
events.Reload()
print(json.dumps({tag: [[point.step, point.value] for point in events.Scalars(tag)]
                  for tag in events.Tags()["scalars"]}))
