"""Make trainer_fields.json: the names that the configurations of other trainers may use, read off their
published sources.

    pip download --no-deps --no-binary :all: axolotl==0.19.0 llamafactory==0.9.5     # and unpack them
    pip download --no-deps openrlhf==0.11.2
    python tests/data/make_trainer_fields.py FOLDER     # with trl 1.16.0 and transformers installed

Nothing of axolotl, LLaMA-Factory and OpenRLHF is imported: their files are parsed.
"""

import ast
import dataclasses
import json
import re
import sys
from pathlib import Path

from transformers import TrainingArguments
from trl import DatasetMixtureConfig, DPOConfig, ModelConfig, ScriptArguments

SOURCES = Path(sys.argv[1])
HERE = Path(__file__).resolve().parent


def fields_of(*classes):
    return sorted({field.name for each in classes for field in dataclasses.fields(each)})


def annotated(pattern, keep=lambda name: True):
    """The annotated names of all classes in the files that match."""
    names = set()
    files = sorted(SOURCES.glob(pattern))
    assert files, pattern
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and keep(node.name):
                names |= {
                    line.target.id
                    for line in node.body
                    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
                }
    return names


def only(*classes):
    return lambda name: name in classes


schemas = "axolotl-0.19.0/src/axolotl/utils/schemas/*.py"
openrlhf = next(SOURCES.glob("openrlhf-0.11.2*/**/cli/train_dpo.py"))
data_set = only("DatasetAttr")
fields = {
    "trl 1.16.0": fields_of(ScriptArguments, DPOConfig, ModelConfig, DatasetMixtureConfig),
    "axolotl 0.19.0": sorted(annotated(schemas, lambda name: "Dataset" not in name)),
    "axolotl 0.19.0, datasets": sorted(annotated(schemas, only("SFTDataset", "DPODataset"))),
    "llamafactory 0.9.5": sorted(
        annotated("llamafactory-0.9.5/src/llamafactory/hparams/*.py") | set(fields_of(TrainingArguments))
    ),
    "llamafactory 0.9.5, dataset_info.json": sorted(
        annotated("llamafactory-0.9.5/src/llamafactory/data/parser.py", data_set) | {"file_name", "columns", "tags"}
    ),
    "openrlhf 0.11.2": sorted(set(re.findall(r'add_argument\(\s*"--([\w.]+)"', openrlhf.read_text()))),
}
lines = [f"  {json.dumps(name)}: {json.dumps(names)}" for name, names in fields.items()]
(HERE / "trainer_fields.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
