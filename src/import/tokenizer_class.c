/* SPDX-License-Identifier: Apache-2.0 */
/* AutoTokenizer takes tokenizer_class of tokenizer_config.json, else of config.json, else
 * BertTokenizer for every model type that is read here. A name may end in Fast. A name that
 * Transformers does not have means TokenizersBackend. */
#include "import/tokenizer_class.h"

#include <stddef.h>
#include <string.h>

/* Each is BertTokenizer, or differs from it by its name alone. */
static const char *const berts[] = {
    "Bert",     "SqueezeBert", "Electra",           "MobileBert",
    "LayoutLM", "Lxmert",      "DPRContextEncoder", "DPRQuestionEncoder"};
/* Every other tokenizer of Transformers 5.23.0, which would build itself otherwise. */
static const char *const others[] = {"Albert",
                                     "Auto",
                                     "Bart",
                                     "Barthez",
                                     "Bartpho",
                                     "Basic",
                                     "BertGeneration",
                                     "BertJapanese",
                                     "Bertweet",
                                     "BigBird",
                                     "BioGpt",
                                     "BlenderbotSmall",
                                     "Blenderbot",
                                     "ByT5",
                                     "CLIP",
                                     "CTRL",
                                     "Camembert",
                                     "Canine",
                                     "Character",
                                     "Clvp",
                                     "CodeGen",
                                     "CodeLlama",
                                     "Cohere",
                                     "ConvBert",
                                     "CpmAnt",
                                     "Cpm",
                                     "DPRReader",
                                     "Deberta",
                                     "DebertaV2",
                                     "Dia",
                                     "Esm",
                                     "Esmc",
                                     "FNet",
                                     "FSMT",
                                     "FastSpeech2Conformer",
                                     "Flaubert",
                                     "Funnel",
                                     "GPT2",
                                     "GPTNeoXJapanese",
                                     "GPTNeoX",
                                     "GPTSw3",
                                     "Gemma",
                                     "Herbert",
                                     "LED",
                                     "Lasr",
                                     "LayoutLMv2",
                                     "LayoutLMv3",
                                     "LayoutXLM",
                                     "Llama",
                                     "Luke",
                                     "M2M100",
                                     "MBart50",
                                     "MBart",
                                     "MLuke",
                                     "MPNet",
                                     "Marian",
                                     "MarkupLM",
                                     "Mecab",
                                     "Mgpstr",
                                     "Mvp",
                                     "MyT5",
                                     "Nllb",
                                     "Nougat",
                                     "OpenAIGPT",
                                     "PLBart",
                                     "Parakeet",
                                     "Pegasus",
                                     "Perceiver",
                                     "Phobert",
                                     "Pop2Piano",
                                     "ProphetNet",
                                     "Qwen2",
                                     "Qwen3_5",
                                     "Rag",
                                     "Reformer",
                                     "RemBert",
                                     "RoCBert",
                                     "RoFormer",
                                     "Roberta",
                                     "SeamlessM4T",
                                     "Siglip2",
                                     "Siglip",
                                     "Speech2Text",
                                     "SpeechT5",
                                     "Splinter",
                                     "T5",
                                     "Tapas",
                                     "Tipsv2",
                                     "Udop",
                                     "VideoPrism",
                                     "Vits",
                                     "Wav2Vec2CTC",
                                     "Wav2Vec2PhonemeCTC",
                                     "Whisper",
                                     "Wordpiece",
                                     "XGLM",
                                     "XLMRoberta",
                                     "XLM",
                                     "XLNet"};

static int is_among(const char *name, size_t n, const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) return 1;
    return 0;
}

sqzi_tokenizer_kind sqzi_tokenizer_kind_of(const char *class_name)
{
    static const char ending[] = "Tokenizer";
    size_t n = strlen(class_name);
    if (n > 4 && strcmp(class_name + n - 4, "Fast") == 0) n -= 4;
    const size_t last = sizeof ending - 1;
    if (strcmp(class_name, "BertTokenizerLegacy") == 0) return SQZI_TOKENIZER_OTHER;
    if (n <= last || memcmp(class_name + n - last, ending, last) != 0) return SQZI_TOKENIZER_JSON;
    n -= last;
    if (n == 10 && memcmp(class_name, "DistilBert", n) == 0) return SQZI_TOKENIZER_DISTILBERT;
    if (is_among(class_name, n, berts, sizeof berts / sizeof *berts)) return SQZI_TOKENIZER_BERT;
    return is_among(class_name, n, others, sizeof others / sizeof *others) ? SQZI_TOKENIZER_OTHER
                                                                           : SQZI_TOKENIZER_JSON;
}
