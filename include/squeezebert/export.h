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
 *   dense             1: what no class has is written as what one has; the folder is larger, its
 *                     results are the same. Grouped linears become dense ones with zeros between
 *                     the groups; a factorised embedding, one F32 table; blocks with fewer heads,
 *                     narrower heads or fewer neurons than others are filled up with zeros, queries
 *                     of narrower heads times sqrt(D written / D); a model without token types gets
 *                     a table of two rows of zeros
 *   note(user, text)  called for what the folder cannot hold or holds otherwise: products of
 *                     factors, integers as f32, a pooler that no class reads, blocks filled up
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
 *                            model, another of bert, squeezebert, distilbert, electra that can.
 *                            A sequence classifier that no class has: BertModel with the labels,
 *                            see modules.json
 *   model.safetensors        weights as F32, F16 or BF16, as the file has them, biases and norms as
 *                            F32. Low-rank, summed and permuted linears are written as their
 *                            product, computed in double and rounded to F32; weights of integers
 *                            (int8, packed rows, product-quantised words) as the F32 that they mean
 *   tokenizer.json, vocab.txt, tokenizer_config.json, special_tokens_map.json
 *   modules.json, 1_Pooling, sentence_bert_config.json, config_sentence_transformers.json    where
 *       the file has pooling, normalisation or prompts. Or, of a classifier that no class has, the
 *       head: Pooling, then Dense and LayerNorm modules named pooler, head_dense, head_norm and
 *       head_output, so that SentenceTransformer.encode gives the logits; sqz_import makes the head
 *       of them again. How texts are embedded is then not written
 *
 * A folder that was imported in f32 and exported comes back by sqz_import to the same tensors, bit
 * for bit.
 * Cost: one pass over the weights, out * rank * in multiply-adds a factorised linear, V * E * k a
 * factorised embedding. Memory: the JSON files, the factors of one linear. SQZ_EUNSUPPORTED: no
 * class of Transformers can express the model. Without `dense`: a factorised embedding, groups,
 * heads or widths that differ by block, heads that do not fill the width. In any case: activations
 * or epsilons that differ by block, more heads than equal ones of the width hold, a classifier
 * beside the encoder whose activation or epsilon a module cannot have. The text names the block and
 * the reason.
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
