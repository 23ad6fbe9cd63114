# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share: medians with their spread, tables that can be pasted."""
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vm"))


def spread(values):
    """Median, quartiles, extremes."""
    values = sorted(values)
    quarter = len(values) // 4
    return (statistics.median(values), values[quarter], values[-1 - quarter], values[0],
            values[-1])


def table(title, unit, rows, notes=()):
    """rows: {name: values}. Markdown."""
    print(f"\n### {title} ({unit})\n")
    print("| | n | median | middle half | least … most |")
    print("|---|---|---|---|---|")
    for name, values in rows.items():
        m, q1, q3, low, high = spread(values)
        print(f"| {name} | {len(values)} | {m:.2f} | {q1:.2f} … {q3:.2f} | {low:.2f} … {high:.2f} |")
    for note in notes:
        print(f"\n{note}")
    sys.stdout.flush()


def ratio_of_pairs(above, below):
    """Median and spread of above/below, pair by pair: what the machine did to both is gone."""
    m, q1, q3, _, _ = spread([a / b for a, b in zip(above, below)])
    return f"{m:.2f} (middle half {q1:.2f} … {q3:.2f})"


def difference_of_pairs(above, below):
    m, q1, q3, _, _ = spread([a - b for a, b in zip(above, below)])
    return f"{m:.2f} (middle half {q1:.2f} … {q3:.2f})"
