"""Make a tiny language model with random weights and serve it, as ``tiny_server.py FOLDER PORT``.

The model says a few words in no order. The server is the one that comes with transformers (``transformers serve``).
"""

import sys

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.cli.transformers import main

WORDS = ("the", "fridge", "is", "at", "four", "degrees", "and", "bench", "clean", "now", "sample", "safe")
SPECIAL = ("<unk>", "<s>", "</s>")
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} : {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)


def make(folder: str) -> None:
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=16_384,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        )
    )
    model.generation_config.suppress_tokens = list(range(len(SPECIAL)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


make(sys.argv[1])
sys.argv = ["transformers", "serve", sys.argv[1], "--host", "127.0.0.1", "--port", sys.argv[2], "--device", "cpu"]
main()
