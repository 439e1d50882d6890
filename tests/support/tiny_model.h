/* SPDX-License-Identifier: Apache-2.0 */
/* Small random models of every form the encoder knows, written as model files for tests. */
#ifndef SQZT_TINY_MODEL_H
#define SQZT_TINY_MODEL_H

#include <squeezebert/model.h>
#include <stdbool.h>

#include "base/real.h"

typedef struct sqzt_tiny {
    uint32_t width, blocks, heads, head_width, ffn_width; /* heads * head_width need not be width */
    /* differs from width: projected after the norm */
    uint32_t embedding_width;
    uint32_t positions, token_types;
    bool bare; /* neither a table of positions nor a norm behind the embedding */
    uint32_t groups[6]; /* attn_q, attn_k, attn_v, attn_output, ffn_up, ffn_down; 0 counts as 1 */
    uint32_t rank;      /* > 0: linears are a low-rank pair ... */
    uint32_t factor_groups; /* of that pair, a rank each; 0 counts as 1 */
    bool sum;               /* ... and a grouped one as well */
    bool permuted;          /* inputs and outputs of every linear of the blocks */
    uint32_t kept;          /* > 0: the permutations keep every number in its group of so many */
    /* the same model without permutations: weights lie where those would put them; of linears in
     * one group or with `kept` */
    bool placed;
    bool same_inner;     /* one permutation for ffn_up's outputs and ffn_down's inputs */
    uint32_t factorised; /* > 0: the word table is [V, factorised], with a factor */
    uint32_t parts;      /* > 0: the word table is product quantised, so many bytes a piece */
    /* > 0: of the last block's attn_q, and its feed-forward */
    uint32_t last_groups, last_ffn_width;
    bool no_pooler;
    const char *head;       /* sqz.head.kind, NULL for none */
    const char *pool;       /* sqz.head.pool of a head that reads one vector; NULL: pooler */
    bool head_dense;        /* of such a head: dense and tanh before its output */
    int head_activation;    /* of structs: a sqzk_activation in the place of tanh; 0: tanh */
    const char *embed_pool; /* sqz.pool; NULL: none is named */
    /* sqz.embed.steps, ended by NULL, and the outputs of the dense ones among them */
    const char *steps[6];
    uint32_t step_width;
    const char *similarity; /* sqz.similarity, or NULL */
    /* sqz.prompts: name, text, name, text, .. ended by NULL, and the default's name or NULL */
    const char *prompts[8], *default_prompt;
    bool exclude_prompt;
    uint32_t classes;
    const char *const *labels; /* [classes]; NULL: O, B-one, I-one, B-two, I-two */
    /* of the blocks' matrices and of the word table: SQZI_F32, SQZI_BF16 or SQZI_S8 */
    sqzi_type type;
    /* 4, 3 or 2, with SQZI_S8: packed rows, the other tables and the factor as well ... */
    uint32_t bits;
    bool expanded; /* ... stored as the int8 numbers that they mean */
    uint64_t seed;
    const char *drop;   /* leave this tensor out */
    const char *extra;  /* add a tensor of this name */
    const char *poison; /* put a NaN into this tensor */
} sqzt_tiny;

/* Letters a..z alone and as continuations, some words, the special tokens: ids from 0 on. */
enum { SQZT_TINY_VOCABULARY = 72 };

/* The forms, by name; NULL at the end. */
typedef struct sqzt_named_tiny {
    const char *name;
    sqzt_tiny tiny;
} sqzt_named_tiny;
extern const sqzt_named_tiny sqzt_tiny_forms[];

/* Write the model file; fails the running test where it cannot. */
void sqzt_tiny_write(const sqzt_tiny *tiny, const char *path);

/* A path for a file of this name in a folder of the test's own, removed at exit. Static storage,
 * two paths at a time. */
const char *sqzt_temporary(const char *name);
/* Everything that lies in a folder, hidden files too: what a test asked for and nothing else. */
unsigned sqzt_count_files(const char *folder);

#endif
