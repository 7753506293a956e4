"""Makes folders of checkpoints as other tools write them, of one tiny BERT with a span head.

usage: python scripts/reference/make_checkpoints.py FOLDER MODEL
needs pip, torch, safetensors and transformers 5.23; MODEL: crates/bert-qa/tests/fixtures/tiny-bert. The test `checkpoints_of_other_tools_load` of bert-qa runs it.

FOLDER/expected.safetensors    the model's tensors
FOLDER/usable/NAME             folders that must give these tensors
FOLDER/unusable/NAME           folders that must be refused

Lightning's checkpoints are made by Lightning itself, DDP's and torch.compile's by torch. FARM, Haystack 1 and simpletransformers need versions of torch
and transformers that are years old: what follows here is their saving code (farm 0.8.0 and farm-haystack 1.26.4, LanguageModel.save and
PredictionHead.save; simpletransformers 0.70.8, QuestionAnsweringModel.save_model), with today's torch. NVIDIA's dictionary is that of
DeepLearningExamples' run_pretraining.py.
"""
import argparse, json, os, pathlib, shutil, subprocess, sys, tempfile
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import BertForQuestionAnswering

OUT, SOURCE = map(pathlib.Path, sys.argv[1:3])
LIGHTNING = ["lightning==2.6.6", "lightning-utilities==0.15.3", "torchmetrics==1.9.0"]


def folder(name, config="config.json", usable=True):
    path = OUT / ("usable" if usable else "unusable") / name
    path.mkdir(parents=True)
    shutil.copy(SOURCE / "config.json", path / config)
    shutil.copy(SOURCE / "tokenizer.json", path)
    return path


def train_step(model, optimizer):
    """One step, so that the optimizer has a state; the weights stay."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids = torch.arange(5, 13)[None]
    model(input_ids=ids, start_positions=torch.tensor([2]), end_positions=torch.tensor([3])).loss.backward()
    optimizer.step()
    model.load_state_dict(before)
    return optimizer


def lightning_checkpoints(make):
    with tempfile.TemporaryDirectory() as packages:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", packages, *LIGHTNING],
                       check=True)
        sys.path.insert(0, packages)
        import lightning

        class Module(lightning.LightningModule):
            def __init__(self, name="tiny", learning_rate=0.0, options=argparse.Namespace(warmup=2)):
                super().__init__()
                self.save_hyperparameters()
                self.model = make()

            def training_step(self, batch, _):
                return self.model(input_ids=batch, start_positions=torch.tensor([2]), end_positions=torch.tensor([3])).loss

            def configure_optimizers(self):
                optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.hparams.learning_rate)
                return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.LinearLR(optimizer)}

        trainer = lightning.Trainer(max_steps=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
                                    default_root_dir=OUT / "lightning", callbacks=[lightning.pytorch.callbacks.ModelCheckpoint(every_n_train_steps=1)])
        trainer.fit(Module(), torch.utils.data.DataLoader([torch.arange(5, 13)] * 4))
        trainer.save_checkpoint(folder("lightning") / "epoch=0-step=2.ckpt")
        trainer.save_checkpoint(folder("lightning-weights") / "last.ckpt", weights_only=True)
    shutil.rmtree(OUT / "lightning", ignore_errors=True)


class FeedForwardBlock(nn.Module):
    """As FARM's."""

    def __init__(self, linear):
        super().__init__()
        self.feed_forward = nn.Sequential(linear)


class QuestionAnsweringHead(nn.Module):
    """As FARM's."""

    def __init__(self, linear):
        super().__init__()
        self.feed_forward = FeedForwardBlock(linear)


def farm(path, model, name):
    torch.save(model.bert.state_dict(), path / "language_model.bin")
    model.bert.config.name, model.bert.config.language = name, "english"
    (path / "language_model_config.json").write_text(model.bert.config.to_json_string())
    torch.save(QuestionAnsweringHead(model.qa_outputs).state_dict(), path / "prediction_head_0.bin")
    (path / "prediction_head_0_config.json").write_text(json.dumps({"name": "QuestionAnsweringHead", "layer_dims": [12, 2]}))
    (path / "processor_config.json").write_text(json.dumps({"processor": "SquadProcessor", "max_seq_len": 384, "doc_stride": 128}))


def main():
    def make():
        return BertForQuestionAnswering.from_pretrained(SOURCE).eval()

    state = make().state_dict()
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(state, OUT / "expected.safetensors")

    lightning_checkpoints(make)

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29577")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    wrapped = nn.parallel.DistributedDataParallel(make())
    torch.save(wrapped.state_dict(), folder("ddp") / "checkpoint.pt")
    torch.distributed.destroy_process_group()
    torch.save(torch.compile(make()).state_dict(), folder("compiled") / "model.pt")

    torch.save(make(), folder("whole-module") / "model.pt")
    torch.save(state, folder("plain") / "weights.pth")
    torch.save(state, folder("plain-legacy") / "weights.pt", _use_new_zipfile_serialization=False)
    trained = make()
    optimizer = train_step(trained, torch.optim.AdamW(trained.parameters(), lr=1e-3))
    torch.save({"epoch": 3, "loss": torch.tensor(1.5), "model_state_dict": state, "optimizer_state_dict": optimizer.state_dict()},
               folder("tutorial") / "checkpoint.tar.pt")

    old = {"module." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
           for name, tensor in state.items()}
    torch.save({"model": old, "optimizer": optimizer.state_dict(), "master params": list(trained.parameters()), "files": [1, "a.hdf5"], "epoch": 0,
                "data_loader": None}, folder("nvidia") / "ckpt_8601.pt")

    farm(folder("farm", config="unused.json"), make(), "Bert")
    farm(folder("haystack", config="unused.json"), make(), "deepset/bert-base-cased-squad2")

    path = folder("simpletransformers")
    make().save_pretrained(path)
    torch.save(argparse.Namespace(do_lower_case=True, learning_rate=4e-5), path / "training_args.bin")
    torch.save(optimizer.state_dict(), path / "optimizer.pt")
    torch.save(torch.optim.lr_scheduler.LinearLR(optimizer).state_dict(), path / "scheduler.pt")
    (path / "model_args.json").write_text(json.dumps({"do_lower_case": True, "model_class": "QuestionAnsweringModel"}))
    (path / "eval_results.txt").write_text("correct = 3\n")
    shutil.copytree(path, OUT / "usable/simpletransformers-bin")
    (OUT / "usable/simpletransformers-bin/model.safetensors").unlink()
    torch.save(state, OUT / "usable/simpletransformers-bin/pytorch_model.bin")

    torch.save({"epoch": 3, "lr": 0.1}, folder("no-tensors", usable=False) / "model.pt")
    torch.save({f"transformer.h.{i}.attn.c_attn.weight": torch.ones(2, 2) for i in range(20)}, folder("gpt2", usable=False) / "pytorch_model.bin")
    torch.save({"student": state, "teacher": state}, folder("two-models", usable=False) / "model.pt")
    for kind in ["usable", "unusable"]:
        print(kind, *sorted(path.name for path in (OUT / kind).iterdir()))


main()
