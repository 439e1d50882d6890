/* SPDX-License-Identifier: Apache-2.0 */
#include "import/names.h"

#include <stdio.h>
#include <string.h>

#define BERT_BLOCK                                                                                 \
    .block = "encoder.layer.",                                                                     \
    .block_parts = {[SQZI_ATTN_Q] = "attention.self.query",                                        \
                    [SQZI_ATTN_K] = "attention.self.key",                                          \
                    [SQZI_ATTN_V] = "attention.self.value",                                        \
                    [SQZI_ATTN_OUTPUT] = "attention.output.dense",                                 \
                    [SQZI_FFN_UP] = "intermediate.dense",                                          \
                    [SQZI_FFN_DOWN] = "output.dense",                                              \
                    [SQZI_ATTN_NORM] = "attention.output.LayerNorm",                               \
                    [SQZI_FFN_NORM] = "output.LayerNorm"}
#define BERT_KEYS                                                                                  \
    .blocks_key = "num_hidden_layers", .heads_key = "num_attention_heads",                         \
    .width_key = "hidden_size", .ffn_key = "intermediate_size", .activation_key = "hidden_act"
#define BERT_MASKED                                                                                \
    .masked_dense = "cls.predictions.transform.dense",                                             \
    .masked_norm = "cls.predictions.transform.LayerNorm", .decoder = "cls.predictions.decoder",    \
    .decoder_bias = "cls.predictions.bias"

const sqzi_layout sqzi_layouts[SQZI_ARCHITECTURES] = {
    [SQZI_BERT] = {.model_type = "bert",
                   .class_prefix = "Bert",
                   .prefix = "bert.",
                   BERT_BLOCK,
                   BERT_KEYS,
                   BERT_MASKED,
                   .sequence_output = "classifier",
                   .choice_output = "classifier",
                   .tokenizer_class = "BertTokenizer",
                   .has_types = true,
                   .has_epsilon = true,
                   .usual = {12, 12, 768, 3072, 0}},
    [SQZI_SQUEEZEBERT] = {.model_type = "squeezebert",
                          .class_prefix = "SqueezeBert",
                          .prefix = "transformer.",
                          .block = "encoder.layers.",
                          .block_parts = {[SQZI_ATTN_Q] = "attention.query",
                                          [SQZI_ATTN_K] = "attention.key",
                                          [SQZI_ATTN_V] = "attention.value",
                                          [SQZI_ATTN_OUTPUT] = "post_attention.conv1d",
                                          [SQZI_FFN_UP] = "intermediate.conv1d",
                                          [SQZI_FFN_DOWN] = "output.conv1d",
                                          [SQZI_ATTN_NORM] = "post_attention.layernorm",
                                          [SQZI_FFN_NORM] = "output.layernorm"},
                          BERT_KEYS,
                          BERT_MASKED,
                          .sequence_output = "classifier",
                          .choice_output = "classifier",
                          .tokenizer_class = "BertTokenizer",
                          .grouped = true,
                          .always_pooled = true,
                          .has_types = true,
                          .has_epsilon = true,
                          .block_epsilon = 1e-12,
                          .has_embedding_size = true,
                          .usual = {12, 12, 768, 3072, 0}},
    [SQZI_DISTILBERT] = {.model_type = "distilbert",
                         .class_prefix = "DistilBert",
                         .prefix = "distilbert.",
                         .block = "transformer.layer.",
                         .block_parts = {[SQZI_ATTN_Q] = "attention.q_lin",
                                         [SQZI_ATTN_K] = "attention.k_lin",
                                         [SQZI_ATTN_V] = "attention.v_lin",
                                         [SQZI_ATTN_OUTPUT] = "attention.out_lin",
                                         [SQZI_FFN_UP] = "ffn.lin1",
                                         [SQZI_FFN_DOWN] = "ffn.lin2",
                                         [SQZI_ATTN_NORM] = "sa_layer_norm",
                                         [SQZI_FFN_NORM] = "output_layer_norm"},
                         .blocks_key = "n_layers",
                         .heads_key = "n_heads",
                         .width_key = "dim",
                         .ffn_key = "hidden_dim",
                         .activation_key = "activation",
                         .masked_dense = "vocab_transform",
                         .masked_norm = "vocab_layer_norm",
                         .decoder = "vocab_projector",
                         .decoder_bias = "vocab_projector.bias",
                         .sequence_dense = "pre_classifier",
                         .sequence_output = "classifier",
                         .choice_dense = "pre_classifier",
                         .choice_output = "classifier",
                         .dense_activation = "relu",
                         .tokenizer_class = "DistilBertTokenizer",
                         .block_epsilon = 1e-12,
                         .takes_bert_sizes = true,
                         .usual = {6, 12, 768, 3072, 0}},
    [SQZI_ELECTRA] = {.model_type = "electra",
                      .class_prefix = "Electra",
                      .prefix = "electra.",
                      BERT_BLOCK,
                      BERT_KEYS,
                      .masked_dense = "generator_predictions.dense",
                      .masked_norm = "generator_predictions.LayerNorm",
                      .decoder = "generator_lm_head",
                      .decoder_bias = "generator_lm_head.bias",
                      .sequence_dense = "classifier.dense",
                      .sequence_output = "classifier.out_proj",
                      .choice_dense = "sequence_summary.summary",
                      .choice_output = "classifier",
                      .dense_activation = "gelu",
                      .masked_activation = "gelu",
                      .tokenizer_class = "BertTokenizer",
                      .has_types = true,
                      .has_epsilon = true,
                      .has_embedding_size = true,
                      .projected = true,
                      .discriminates = true,
                      .usual = {12, 4, 256, 1024, 128}},
};

void sqzi_block_part(uint32_t i, uint32_t j, char name[SQZI_LINEAR_NAME])
{
    snprintf(name, SQZI_LINEAR_NAME, "blk.%u.%s", (unsigned)i,
             j < SQZI_BLOCK_LINEARS ? sqzi_block_linear_name(j)
             : j == SQZI_ATTN_NORM  ? "attn_output_norm"
                                    : "layer_output_norm");
}

void sqzi_block_name(const sqzi_layout *layout, uint32_t i, uint32_t j, char *name, size_t bytes)
{
    snprintf(name, bytes, "%s%u.%s", layout->block, (unsigned)i, layout->block_parts[j]);
}

const sqzi_groups_key sqzi_groups_keys[SQZI_BLOCK_LINEARS] = {
    [SQZI_ATTN_Q] = {"q_groups", 4},
    [SQZI_ATTN_K] = {"k_groups", 4},
    [SQZI_ATTN_V] = {"v_groups", 4},
    [SQZI_ATTN_OUTPUT] = {"post_attention_groups", 1},
    [SQZI_FFN_UP] = {"intermediate_groups", 4},
    [SQZI_FFN_DOWN] = {"output_groups", 4}};

const sqzi_word_pair sqzi_activations[] = {{"gelu", "gelu"},
                                           {"gelu_new", "gelu_tanh"},
                                           {"relu", "relu"},
                                           {"gelu_python", "gelu"},
                                           {"gelu_fast", "gelu_tanh"},
                                           {"gelu_pytorch_tanh", "gelu_tanh"},
                                           {"gelu_python_tanh", "gelu_tanh"},
                                           {"gelu_accurate", "gelu_tanh"},
                                           {NULL, NULL}};
const sqzi_word_pair sqzi_problems[] = {{"single_label_classification", "single_label"},
                                        {"multi_label_classification", "multi_label"},
                                        {"regression", "regression"},
                                        {NULL, NULL}};
const sqzi_word_pair sqzi_pooling_modes[] = {{"pooling_mode_mean_tokens", "mean"},
                                             {"pooling_mode_cls_token", "cls"},
                                             {"pooling_mode_max_tokens", "max"},
                                             {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len"},
                                             {"pooling_mode_weightedmean_tokens", "weighted_mean"},
                                             {"pooling_mode_lasttoken", "last"},
                                             {NULL, NULL}};
const sqzi_word_pair sqzi_pooling_words[] = {{"mean", "mean"},
                                             {"cls", "cls"},
                                             {"max", "max"},
                                             {"mean_sqrt_len_tokens", "mean_sqrt_len"},
                                             {"weightedmean", "weighted_mean"},
                                             {"lasttoken", "last"},
                                             {NULL, NULL}};
const sqzi_word_pair sqzi_dense_words[] = {{"torch.nn.modules.linear.Identity", "dense"},
                                           {"torch.nn.modules.activation.Tanh", "dense_tanh"},
                                           {"torch.nn.modules.activation.ReLU", "dense_relu"},
                                           {"torch.nn.modules.activation.GELU", "dense_gelu"},
                                           {"torch.nn.Identity", "dense"},
                                           {"torch.nn.Tanh", "dense_tanh"},
                                           {"torch.nn.ReLU", "dense_relu"},
                                           {"torch.nn.GELU", "dense_gelu"},
                                           {NULL, NULL}};

const sqzi_word_pair sqzi_head_modules[] = {{"pooler", "pooler"},
                                            {"head_dense", "head.dense"},
                                            {"head_norm", "head.norm"},
                                            {"head_output", "head.output"},
                                            {NULL, NULL}};

const sqzi_class_ending sqzi_class_endings[] = {{"ForSequenceClassification", SQZ_HEAD_SEQUENCE},
                                                {"ForTokenClassification", SQZ_HEAD_TOKEN},
                                                {"ForQuestionAnswering", SQZ_HEAD_QUESTION},
                                                {"ForMaskedLM", SQZ_HEAD_MASKED_LM},
                                                {"ForPreTraining", SQZ_HEAD_MASKED_LM},
                                                {"LMHeadModel", SQZ_HEAD_MASKED_LM},
                                                {"ForCausalLM", SQZ_HEAD_MASKED_LM},
                                                {"ForMultipleChoice", SQZ_HEAD_MULTIPLE_CHOICE},
                                                {"Model", SQZ_HEAD_NONE},
                                                {NULL, SQZ_HEAD_NONE}};

const char *sqzi_class_ending_of(sqz_head_kind head)
{
    const sqzi_class_ending *ending = sqzi_class_endings;
    while (ending->ending && ending->head != head) ending++;
    return ending->ending;
}

const sqzi_special_word sqzi_special_words[SQZI_SPECIAL_WORDS] = {{"unknown", "unk_token", "[UNK]"},
                                                                  {"cls", "cls_token", "[CLS]"},
                                                                  {"seperator", "sep_token",
                                                                   "[SEP]"},
                                                                  {"padding", "pad_token", "[PAD]"},
                                                                  {"mask", "mask_token", "[MASK]"}};

const char *const sqzi_added_flags[SQZI_ADDED_FLAGS] = {"special", "single_word", "lstrip",
                                                        "rstrip", "normalized"};

const char *sqzi_our_word(const sqzi_word_pair *pairs, const char *theirs)
{
    for (; pairs->theirs; pairs++)
        if (strcmp(pairs->theirs, theirs) == 0) return pairs->ours;
    return NULL;
}

const char *sqzi_their_word(const sqzi_word_pair *pairs, const char *ours)
{
    for (; pairs->theirs; pairs++)
        if (strcmp(pairs->ours, ours) == 0) return pairs->theirs;
    return NULL;
}
