/* SPDX-License-Identifier: Apache-2.0 */
/* Export: a model file to a Hugging Face folder. In libsqueezebert-full. */
#ifndef SQUEEZEBERT_EXPORT_H
#define SQUEEZEBERT_EXPORT_H

#include <squeezebert/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise for the defaults and silence.
 *
 *   dense             1: grouped linears are written as dense ones with zeros between the groups.
 *                     So a model whose groups differ from block to block can be exported; its
 *                     folder is larger, its results are the same
 *   note(user, text)  called for what the folder cannot hold or holds otherwise: products of
 *                     factors, int8 weights as f32, a pooler that no class reads
 */
typedef struct sqz_export_options {
    int dense;
    void (*note)(void *user, const char *text);
    void *user;
    uint64_t reserved[4];
} sqz_export_options;

/* Write a folder that Transformers loads and that gives the model's results.
 *
 *   model    as it was opened; its file must not have changed since
 *   folder   absent, or an empty folder; it is written under a temporary name beside it and
 *            renamed, so it appears whole or not at all
 *   options  NULL = defaults
 *
 *   config.json              the class that sqz.source.model_type and the head name
 *                            (BertForTokenClassification); where that type cannot express the
 *                            model, another of bert, squeezebert, distilbert, electra that can
 *   model.safetensors        weights as F32, F16 or BF16, as the file has them, biases and norms as
 *                            F32. Low-rank, summed and permuted linears are written as their
 *                            product, computed in double and rounded to F32; int8 weights as F32:
 *                            scale times integer
 *   tokenizer.json, vocab.txt, tokenizer_config.json, special_tokens_map.json
 *   modules.json, 1_Pooling, sentence_bert_config.json, config_sentence_transformers.json    where
 *       the file has pooling, normalisation or prompts
 *
 * A folder that was imported in f32 and exported comes back by sqz_import to the same tensors, bit
 * for bit.
 * Cost: one pass over the weights, and out * rank * in multiply-adds a factorised linear. Memory:
 * the JSON files, the factors of one linear. SQZ_EUNSUPPORTED: no class of Transformers can express
 * the model (a classifier that pools by mean, a reduced embedding, groups, heads or widths that
 * differ by block, heads that do not fill the width); the text names the block and the reason.
 * SQZ_EOUTPUT: the folder is not empty, or cannot be written; SQZ_ERESOURCE: no room. The folder
 * appears whole or not at all (squeezebert/output.h). SQZ_EFORMAT: sqz.source.config is no JSON
 * object, or a piece of the vocabulary no UTF-8. SQZ_ENOMEM.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_export(const sqz_model *model, const char *folder,
                                            const sqz_export_options *options, sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
