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
    const sqzi_layout *layout;        /* the architecture that is written */
    uint32_t groups[SQZI_LINEARS];    /* of every block's linears, as they are written */
    const char *ending;               /* of the class: "ForTokenClassification" */
    double epsilon, head_epsilon;     /* of the embedding's norm and of the head's */
    bool tied;                        /* the decoder of a masked LM is the word table */
    /* config.json's word for what the weights are stored as; NULL until they are written */
    const char *weight_type;
    json_t *config;
    sqzi_folder_writer folder;
    sqz_error *error;
} sqzi_exporter;

/* Find the architecture that can express the model, or say why there is none (export_class.c). */
SQZ_NODISCARD sqz_status sqzi_export_class(sqzi_exporter *exporter);
/* model.safetensors (export_tensors.c). */
SQZ_NODISCARD sqz_status sqzi_export_tensors(sqzi_exporter *exporter);
/* The weights of step i behind the pooling as PATH/model.safetensors (export_tensors.c). */
SQZ_NODISCARD sqz_status sqzi_export_step(sqzi_exporter *exporter, uint32_t i,
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

/* The linear j of a block. */
const sqzi_linear *sqzi_export_linear(const sqzi_block *block, int j);
/* The groups a linear has once its terms are added up: 1 where inputs or outputs are permuted. */
uint32_t sqzi_export_groups(const sqzi_linear *linear);
/* The word of the blocks' activation; without blocks that of a masked LM's head, else NULL. */
const char *sqzi_export_activation(const sqzi_exporter *exporter);

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
