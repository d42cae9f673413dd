"""Files of unit sequences, written and read: for language models, scorers, toolkits, viewers and archives."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_exporters() -> dict[str, str]:
    """Name the components of this plugin."""
    return {
        "jsonl": "unitdisc_formats.jsonl:JSONL",
        "km": "unitdisc_formats.km:KM",
        "gslm": "unitdisc_formats.gslm:GSLM",
        "zs2019": "unitdisc_formats.zs2019:ZS2019",
        "zs2021": "unitdisc_formats.zs2021:ZS2021",
        "tde": "unitdisc_formats.tde:TDE",
        "ctm": "unitdisc_formats.ctm:CTM",
        "textgrid": "unitdisc_formats.textgrid:TextGrid",
        "csv": "unitdisc_formats.csv_spans:CSV",
        "kaldi": "unitdisc_formats.kaldi:Kaldi",
        "espnet": "unitdisc_formats.espnet:ESPnet",
        "lhotse": "unitdisc_formats.supervisions:Lhotse",
        "shar": "unitdisc_formats.shar:Shar",
        "parquet": "unitdisc_formats.parquet:Parquet",
        "webdataset": "unitdisc_formats.webdataset:WebDataset",
        "npz": "unitdisc_formats.npz:NPZ",
        "page": "unitdisc_formats.page:PAGE",
    }
