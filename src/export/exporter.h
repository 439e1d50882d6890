/* SPDX-License-Identifier: Apache-2.0 */
/* One export: the model, the class that can express it, and the folder it goes to. */
#ifndef SQZI_EXPORTER_H
#define SQZI_EXPORTER_H

#include <squeezebert/export.h>

#include "base/error.h"
#include "export/folder_writer.h"
#include "import/json_file.h"
#include "import/names.h"
#include "model/loader.h"

typedef struct sqzi_exporter {
    const sqz_model *model;
    const sqz_allocator *allocator;
    sqz_export_options options;
    const sqzi_layout *layout;           /* the architecture that is written */
    uint32_t groups[SQZI_BLOCK_LINEARS]; /* of every block's linears, as they are written */
    /* every block as it is written: with --dense those with less are filled up with zeros */
    uint32_t heads, head_width, ffn_width;
    sqzk_activation activation; /* of every block */
    const char *ending;         /* of the class: "ForTokenClassification" */
    /* no class has the head: it stands beside the encoder, as modules of sentence-transformers */
    bool head_beside;
    double epsilon, head_epsilon; /* of the embedding's norm and of the head's */
    bool tied;                    /* the decoder of a masked LM is the word table */
    /* config.json's word for what the weights are stored as; NULL until they are written */
    const char *weight_type;
    json_t *config;
    sqzi_folder_writer folder;
    sqz_error *error;
} sqzi_exporter;

/* Find the architecture that can express the model, or say why there is none (export_class.c). */
SQZ_NODISCARD sqz_status sqzi_export_class(sqzi_exporter *exporter);

/* Token types that are written: of a model that has none two, of zeros, where the class wants them.
 */
uint32_t sqzi_export_types(const sqzi_exporter *exporter);

/* Room for a reason, with its NUL. Functions that answer whether something can be expressed put it
 * there where they answer false. */
enum { SQZI_WHY = 256 };
#define SQZI_SAY(...) (snprintf(why, SQZI_WHY, __VA_ARGS__), false)
/* heads, head_width, ffn_width and activation, which are the same for all blocks in every class
 * (export_shape.c). */
bool sqzi_export_shape(sqzi_exporter *exporter, char *why);
/* Whether the class can have the model's head, and whether modules of sentence-transformers can
 * (export_head.c). */
bool sqzi_export_head_fits(const sqzi_exporter *exporter, const sqzi_layout *layout, char *why);
bool sqzi_export_head_fits_beside(const sqzi_exporter *exporter, char *why);
/* The Dense module's activation that a head's is, NULL where there is none. */
const char *sqzi_export_dense_word(sqzk_activation activation);
/* model.safetensors (export_tensors.c). */
SQZ_NODISCARD sqz_status sqzi_export_tensors(sqzi_exporter *exporter);
/* A layer of the head or behind the pooling, by the name that its tensors begin with: a linear, or
 * with NULL a norm. */
typedef struct sqzi_export_layer {
    const char *name;
    const sqzi_linear *linear;
    const sqzi_norm *norm;
} sqzi_export_layer;
/* Its weights as those of a module, PATH/model.safetensors (export_tensors.c). */
SQZ_NODISCARD sqz_status sqzi_export_module(sqzi_exporter *exporter, const sqzi_export_layer *layer,
                                            const char *path);
/* config.json, after the tensors: it names their type (export_config.c). */
SQZ_NODISCARD sqz_status sqzi_export_config(sqzi_exporter *exporter);
/* vocab.txt, tokenizer.json, tokenizer_config.json, special_tokens_map.json
 * (export_tokenizer.c). */
SQZ_NODISCARD sqz_status sqzi_export_tokenizer(sqzi_exporter *exporter);
/* What sentence-transformers reads (export_sentence.c). */
SQZ_NODISCARD sqz_status sqzi_export_texts(sqzi_exporter *exporter);
/* README.md (export_card.c). */
SQZ_NODISCARD sqz_status sqzi_export_card(sqzi_exporter *exporter);

void sqzi_export_note(const sqzi_exporter *exporter, const char *format, ...) SQZI_PRINTF(2, 3);
/* Metadata, where it is there. */
bool sqzi_export_has(const sqzi_exporter *exporter, const char *key);
sqzi_span sqzi_export_string(const sqzi_exporter *exporter, const char *key);
/* Whether JSON can hold it: UTF-8 without a NUL. */
bool sqzi_export_is_text(sqzi_span text);
/* A JSON string of a span; SQZ_EFORMAT where it is no such text, SQZ_ENOMEM. `what` names it. */
SQZ_NODISCARD sqz_status sqzi_export_text(const sqzi_exporter *exporter, sqzi_span text,
                                          const char *what, json_t **out);
/* Put a new value into an object and take its reference; SQZ_ENOMEM where either failed. */
SQZ_NODISCARD sqz_status sqzi_export_set(const sqzi_exporter *exporter, json_t *object,
                                         const char *key, json_t *value);

#endif
