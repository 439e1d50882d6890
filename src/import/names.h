/* SPDX-License-Identifier: Apache-2.0 */
/* What Hugging Face calls things, beside what a model file calls them. Import and export read the
 * same tables, so they cannot drift apart. */
#ifndef SQZI_NAMES_H
#define SQZI_NAMES_H

#include <squeezebert/model.h>
#include <stdbool.h>

#include "nn/tensor_list.h"

typedef enum sqzi_architecture {
    SQZI_BERT,
    SQZI_SQUEEZEBERT,
    SQZI_DISTILBERT,
    SQZI_ELECTRA,
    SQZI_ARCHITECTURES
} sqzi_architecture;

/* The parts of a block that have tensors: its linears, as nn/tensor_list.h orders them, then its
 * norms. */
enum {
    SQZI_ATTN_NORM = SQZI_BLOCK_LINEARS,
    SQZI_FFN_NORM,
    SQZI_BLOCK_PARTS
};

/* Our name of part j of block i: "blk.3.ffn_up", "blk.3.attn_output_norm". */
void sqzi_block_part(uint32_t i, uint32_t j, char name[SQZI_LINEAR_NAME]);

/* One architecture. Config keys and tensor names are Hugging Face's; a name is without the prefix
 * of the encoder. */
typedef struct sqzi_layout {
    const char *model_type;
    const char *class_prefix; /* "Bert" of BertForMaskedLM */
    /* before the encoder's tensors in a model with a head */
    const char *prefix;
    const char *block; /* before a block's number */
    const char *block_parts[SQZI_BLOCK_PARTS];
    const char *blocks_key, *heads_key, *width_key, *ffn_key, *activation_key;
    /* of the masked LM; DECODER.bias may be the bias once more */
    const char *masked_dense, *masked_norm, *decoder, *decoder_bias;
    const char *sequence_dense, *sequence_output; /* dense NULL: the pooler is read */
    const char *choice_dense, *choice_output;
    /* behind sequence_dense and choice_dense, in our words */
    const char *dense_activation;
    const char *masked_activation; /* NULL: that of the blocks */
    const char *tokenizer_class;
    bool grouped;       /* linears of blocks are convolutions of width 1 with groups of their own */
    bool always_pooled; /* every class has a pooler, whether its head reads it or not */
    bool has_types;     /* token types */
    bool has_epsilon;   /* layer_norm_eps is read; else 1e-12 stands */
    double block_epsilon;    /* of the blocks' norms, whatever the config says; 0: as the others */
    bool has_embedding_size; /* the key is read; must be the width unless projected */
    bool projected;          /* the embedding may be narrower and is projected */
    bool takes_bert_sizes;   /* BERT's names of layers, heads and width count as well */
    bool discriminates;      /* ForPreTraining is a discriminator; choices go through a summary */
    /* sizes where the configuration says nothing */
    struct {
        uint32_t blocks, heads, width, ffn_width, embedding_width;
    } usual;
} sqzi_layout;
extern const sqzi_layout sqzi_layouts[SQZI_ARCHITECTURES];

/* Their name of part j of block i, without the prefix. */
void sqzi_block_name(const sqzi_layout *layout, uint32_t i, uint32_t j, char *name, size_t bytes);

/* SqueezeBERT's groups of each linear: their key, and what an absent one means. */
typedef struct sqzi_groups_key {
    const char *key;
    uint32_t usual;
} sqzi_groups_key;
extern const sqzi_groups_key sqzi_groups_keys[SQZI_BLOCK_LINEARS];

/* Pairs of words, {Hugging Face's, ours}, ended by NULL. The first pair with a word is the one that
 * is written. */
typedef struct sqzi_word_pair {
    const char *theirs, *ours;
} sqzi_word_pair;
extern const sqzi_word_pair sqzi_activations[], sqzi_problems[];
/* Of a Pooling module: the keys of the older files, and the words of pooling_mode. Of a Dense
 * module: its activation, and the step that it is (doc/format.md: sqz.embed.steps). */
extern const sqzi_word_pair sqzi_pooling_modes[], sqzi_pooling_words[], sqzi_dense_words[];
/* Modules behind a Pooling that are a classifier, by their names in modules.json, and the parts of
 * the head that they are, in order; the last one must be there, and makes logits. */
extern const sqzi_word_pair sqzi_head_modules[];
/* That of torch.nn.LayerNorm, which a LayerNorm module is. */
#define SQZI_MODULE_NORM_EPSILON 1e-5
/* The other word of a pair, NULL where there is none. */
const char *sqzi_our_word(const sqzi_word_pair *pairs, const char *theirs);
const char *sqzi_their_word(const sqzi_word_pair *pairs, const char *ours);

/* Endings of class names; several may mean one head, and the first is written. Ends with NULL. */
typedef struct sqzi_class_ending {
    const char *ending;
    sqz_head_kind head;
} sqzi_class_ending;
extern const sqzi_class_ending sqzi_class_endings[];
const char *sqzi_class_ending_of(sqz_head_kind head);

/* Special tokens: GGUF's word, Hugging Face's key, the usual spelling. unknown is the first. */
typedef struct sqzi_special_word {
    const char *gguf, *key, *spelling;
} sqzi_special_word;
enum { SQZI_SPECIAL_WORDS = 5 };
extern const sqzi_special_word sqzi_special_words[SQZI_SPECIAL_WORDS];

/* Names of the bits of sqz.tokenizer.added.flags, from the lowest on. */
enum { SQZI_ADDED_FLAGS = 5 };
extern const char *const sqzi_added_flags[SQZI_ADDED_FLAGS];

#endif
