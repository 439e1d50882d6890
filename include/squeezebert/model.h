/* SPDX-License-Identifier: Apache-2.0 */
/* The model: one GGUF file (doc/format.md), its weights packed for the context's kernels, and its
 * tokenizer. Immutable, shared by threads. */
#ifndef SQUEEZEBERT_MODEL_H
#define SQUEEZEBERT_MODEL_H

#include <squeezebert/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sqz_model sqz_model;

/* What the head makes of the hidden states. */
typedef enum sqz_head_kind {
    SQZ_HEAD_NONE,            /* an encoder alone: hidden states, embeddings */
    SQZ_HEAD_SEQUENCE,        /* sequence classification or regression: K logits a sequence */
    SQZ_HEAD_TOKEN,           /* token classification: K logits a token */
    SQZ_HEAD_QUESTION,        /* question answering: 2 logits a token, start and end */
    SQZ_HEAD_MASKED_LM,       /* V logits a token */
    SQZ_HEAD_MULTIPLE_CHOICE  /* 1 logit a sequence; a softmax over the choices is the caller's */
} sqz_head_kind;

typedef enum sqz_problem { SQZ_SINGLE_LABEL, SQZ_MULTI_LABEL, SQZ_REGRESSION } sqz_problem;

/* How token states become one vector. */
typedef enum sqz_pooling {
    SQZ_POOLING_DEFAULT,       /* what the model file says; mean where it says nothing */
    SQZ_POOLING_NONE,          /* one vector a token */
    SQZ_POOLING_MEAN,          /* mean over all tokens of the sequence, special tokens among them */
    SQZ_POOLING_CLS,           /* the first token's state */
    SQZ_POOLING_POOLER,        /* tanh(W h[0] + b); only where the model has a pooler */
    SQZ_POOLING_MAX,           /* of each number, the largest over the tokens */
    SQZ_POOLING_MEAN_SQRT_LEN, /* sum over the tokens, divided by the square root of their number */
    SQZ_POOLING_WEIGHTED_MEAN, /* mean with the weights 1, 2, .., T from the first token on */
    SQZ_POOLING_LAST           /* the last token's state */
} sqz_pooling;

/* How alike two embeddings a and b are: more is more alike. */
typedef enum sqz_similarity_kind {
    SQZ_SIMILARITY_DEFAULT,   /* what the model file says; cosine where it says nothing */
    SQZ_SIMILARITY_COSINE,    /* a.b / (|a| |b|); 0 where one of them is a zero vector */
    SQZ_SIMILARITY_DOT,       /* a.b */
    SQZ_SIMILARITY_EUCLIDEAN, /* -|a - b| */
    SQZ_SIMILARITY_MANHATTAN  /* minus the sum of |a_i - b_i| */
} sqz_similarity_kind;

/* The words of these enumerators in model files, options and output: "sequence", "multi_label",
 * "cls", "dot". NULL for what is none. Static storage. */
SQZ_API const char *sqz_head_name(sqz_head_kind head);
SQZ_API const char *sqz_problem_name(sqz_problem problem);
SQZ_API const char *sqz_pooling_name(sqz_pooling pooling);
SQZ_API const char *sqz_similarity_name(sqz_similarity_kind similarity);

/* What a text is in a search. */
typedef enum sqz_role { SQZ_ROLE_QUERY, SQZ_ROLE_PASSAGE } sqz_role;

/* Facts of a model. Valid, with the strings, until the model is closed. */
typedef struct sqz_model_info {
    const char *name;              /* general.name, "" if absent */
    /* the Hugging Face model_type it was imported from: provenance, never asked for in a run */
    const char *source_type;
    uint32_t n_layers;
    uint32_t width;                /* C: numbers of a hidden state */
    uint32_t embedding_width;      /* of the word table; other than C where it is projected */
    uint32_t vocabulary;           /* rows of that table */
    uint32_t max_positions;        /* tokens of the longest sequence */
    uint32_t n_token_types;        /* 0: the model has none */
    /* pieces of a text unless the caller says otherwise (doc/format.md: sqz.max_length) */
    uint32_t max_length;
    sqz_head_kind head;
    sqz_problem problem;
    /* K; 0 for SQZ_HEAD_NONE; the vocabulary for SQZ_HEAD_MASKED_LM */
    uint32_t n_labels;
    int labels_named;              /* 0: the source named none, LABEL_i stand in */
    sqz_pooling pooling;           /* never SQZ_POOLING_DEFAULT */
    int has_pooler;
    int normalize;                 /* embeddings are divided by their Euclidean length */
    /* numbers of an embedding: C, or what the layers behind the pooling make of it */
    uint32_t dimensions;
    uint32_t n_embed_steps;        /* layers behind the pooling (doc/format.md: sqz.embed.steps) */
    int include_prompt;            /* 0: pooling leaves the pieces of a prompt out */
    int embed_lowercase;           /* 1: texts to be embedded are made lower case first */
    sqz_similarity_kind similarity; /* never SQZ_SIMILARITY_DEFAULT */
    uint64_t n_parameters;         /* every number of the weights, tied ones once */
    uint64_t n_embedding_parameters;
    uint64_t file_bytes;
    /* of a classifier (doc/format.md): scores are those of logits / temperature; a text whose
     * largest logit is below the threshold is refused. 1 and -infinity where the file says
     * nothing */
    double temperature, threshold;
} sqz_model_info;

/* Open a model file.
 *
 *   context  outlives the model
 *   path     a GGUF file written by this library; it must not change while the model is open
 *
 * The file is mapped; linear weights are packed into one allocation for the context's kernels and
 * their pages given back to the system; tables of embeddings are read where they lie.
 * Cost: one pass over the linear weights. SQZ_EIO, SQZ_ENOMEM.
 * SQZ_EFORMAT: not such a file, or damaged (error.offset: the byte). SQZ_EUNSUPPORTED: sqz.requires
 * names a feature this version lacks. SQZ_ELIMIT: a size over the limits of doc/format.md.
 * SQZ_ENUMERIC: a weight of a linear layer or norm is NaN or infinite.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_model_open(sqz_context *context, const char *path,
                                                sqz_model **model, sqz_error *error);
/* Its sessions and tasks must be closed before. */
SQZ_API void sqz_model_close(sqz_model *model);

/* What the model is, where it lives, and what reads its texts: until it is closed. */
SQZ_API const sqz_model_info *sqz_model_get_info(const sqz_model *model);
SQZ_API sqz_context *sqz_model_context(const sqz_model *model);
SQZ_API const sqz_tokenizer *sqz_model_tokenizer(const sqz_model *model);
/* What embeddings, and what is made of them, read texts with: the same, but where
 * info.embed_lowercase is 1 and sqz_model_tokenizer's keeps capital letters (do_lower_case of
 * sentence-transformers). */
SQZ_API const sqz_tokenizer *sqz_model_embed_tokenizer(const sqz_model *model);

/* Name of class k; NULL out of range. */
SQZ_API const char *sqz_model_label(const sqz_model *model, uint32_t k);

/* Prompts ("query: ") that the source names. i-th name and text, NULL out of range; the default one
 * is returned for name NULL. */
SQZ_API const char *sqz_model_prompt_name(const sqz_model *model, uint32_t i);
SQZ_API const char *sqz_model_prompt(const sqz_model *model, const char *name);

/* The prompt of one side of a search, "" where there is none: the first that is not empty of
 *
 *   SQZ_ROLE_QUERY    query, search_query, retrieval.query
 *   SQZ_ROLE_PASSAGE  document, passage, corpus, search_document, retrieval.passage,
 *                     retrieval.document
 *
 * These are the names that sentence-transformers' encode_query and encode_document look for, in
 * their order, and then other usual ones. As there, the default prompt stands in for neither. */
SQZ_API const char *sqz_model_role_prompt(const sqz_model *model, sqz_role role);

/* The file's tensors and metadata, for showing.
 *
 *   shape   slowest first: [out, in] for a linear
 *   value   numbers and short strings written out, long arrays as "[30522 strings]"; valid until
 *           the model is closed
 * 0 when i is out of range, else 1.
 */
typedef struct sqz_tensor_info {
    const char *name;
    const char *type; /* "F32", "F16", "BF16", "I8", "I32" */
    uint32_t n_dims;
    uint64_t shape[4];
    uint64_t bytes;
    uint64_t offset;  /* of its first byte in the file */
    uint64_t reserved[2];
} sqz_tensor_info;
SQZ_API int sqz_model_tensor(const sqz_model *model, uint32_t i, sqz_tensor_info *tensor);
SQZ_API int sqz_model_metadata(const sqz_model *model, uint32_t i, const char **key,
                               const char **value);

/* String i of the metadata `key`, whole: of an array, or i = 0 for a single one. `text` lies in the
 * file, without a NUL at its end, and is valid until the model is closed. 0 where there is no such
 * key, it holds no strings, or i is out of range; else 1. Cost: i strings are stepped over. */
SQZ_API int sqz_model_text(const sqz_model *model, const char *key, uint32_t i, sqz_text *text);

/* Is a file, byte for byte, what was written? Compares the SHA-256 of its header and of the data of
 * its tensors with those it carries (doc/format.md "Checksums"); nothing is opened as a model.
 *
 *   check->has_checksum   0: a file from before there were any, nothing was compared
 *   check->n_bytes        of the file
 *   check->sha256         of the data of all tensors, in hexadecimal; "" without a checksum
 *
 * Opening a model does not do this, sqz_model_verify does not either: it reads the whole file, some
 * 250 MB a second.
 * SQZ_EFORMAT: the file is damaged; the text names the file and the first tensor that is, or says
 * that it is the header. SQZ_EIO, SQZ_ENOMEM, SQZ_ELIMIT, SQZ_EUNSUPPORTED as sqz_model_open.
 */
typedef struct sqz_file_check {
    int has_checksum;
    uint64_t n_bytes;
    char sha256[65];
    uint64_t reserved[4];
} sqz_file_check;
SQZ_API SQZ_NODISCARD sqz_status sqz_model_check(sqz_context *context, const char *path,
                                                 sqz_file_check *check, sqz_error *error);

/* Recompute the reference vectors that the file carries and compare: does this machine compute what
 * the file says? Whether the file is whole is sqz_model_check's question; some damage stays within
 * the tolerance.
 *
 *   max_error   largest absolute difference of a hidden state or logit seen
 *   tolerance   what the file allows
 *   n_vectors   how many sequences were compared; 0 when the file carries none
 *
 * SQZ_ENUMERIC: max_error > tolerance (both are filled in). SQZ_EFORMAT also: a row of a table in
 * packed rows is not as the format says (doc/format.md); opening looks at those of matrices alone.
 * SQZ_ENOMEM.
 */
typedef struct sqz_verification {
    double max_error, tolerance;
    uint32_t n_vectors;
    uint64_t reserved[4];
} sqz_verification;
SQZ_API SQZ_NODISCARD sqz_status sqz_model_verify(const sqz_model *model,
                                                  sqz_verification *verification, sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
