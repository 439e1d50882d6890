/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of config.json beside those that are read: without effect on a result, refused because
 * they have one, and unknown. */
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

/* Read somewhere, or known to change no result of a trained model. */
static const char *const harmless[] = {
    /* which model it is */
    "model_type", "architectures", "id2label", "label2id", "num_labels", "_num_labels",
    "problem_type", "finetuning_task", "tie_word_embeddings", "tie_weights_", "tokenizer_class",
    "sentence_transformers", "sbert_ce_default_activation_function", "transformers_version",
    "_name_or_path", "name_or_path", "_commit_hash", "dtype", "torch_dtype", "export_model_type",
    /* sizes that every architecture has */
    "vocab_size", "max_position_embeddings",
    /* refused unless they say what is done anyway */
    "position_embedding_type", "is_decoder", "add_cross_attention", "is_encoder_decoder",
    "pruned_heads", "quantization_config", "per_layer_config",
    /* training */
    "attention_probs_dropout_prob", "hidden_dropout_prob", "attention_dropout", "dropout",
    "qa_dropout", "seq_classif_dropout", "classifier_dropout", "summary_first_dropout",
    "summary_last_dropout", "initializer_range", "gradient_checkpointing", "mlm_probability",
    "use_bfloat16", "sinusoidal_pos_embds", /* only how positions begin */
    /* how it is computed, not what */
    "use_cache", "chunk_size_feed_forward", "torchscript", "return_dict", "output_attentions",
    "output_hidden_states", "output_past", "attn_implementation", "_attn_implementation",
    "_attn_implementation_autoset", "tf_legacy_loss", "tie_encoder_decoder",
    "cross_attention_hidden_size",
    /* special tokens come from the tokenizer */
    "pad_token_id", "bos_token_id", "eos_token_id", "eos_token_ids", "sep_token_id", "cls_token_id",
    "mask_token_id", "unk_token_id", "decoder_start_token_id",
    /* of the first BERTs, never read by Transformers */
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type",
    /* generating text */
    "task_specific_params", "prefix", "do_sample", "early_stopping", "length_penalty", "max_length",
    "min_length", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "num_beams",
    "num_beam_groups", "diversity_penalty", "num_return_sequences", "repetition_penalty",
    "temperature", "top_k", "top_p", "typical_p", "bad_words_ids", "begin_suppress_tokens",
    "suppress_tokens", "exponential_decay_length_penalty", "forced_bos_token_id",
    "forced_eos_token_id", "remove_invalid_values", "return_dict_in_generate", "output_scores"};

/* Read for some architectures; in the others a leftover that nobody reads. */
static bool is_read(const sqzi_importer *m, const char *key)
{
    const sqzi_layout *l = m->layout;
    const char *const sizes[] = {l->blocks_key, l->heads_key, l->width_key, l->ffn_key,
                                 l->activation_key};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(key, sizes[i]) == 0) return true;
    if (l->takes_bert_sizes &&
        (strcmp(key, "hidden_size") == 0 || strcmp(key, "num_attention_heads") == 0 ||
         strcmp(key, "num_hidden_layers") == 0))
        return true;
    if (strcmp(key, "type_vocab_size") == 0 || strcmp(key, "layer_norm_eps") == 0) return true;
    if (l->discriminates && strncmp(key, "summary_", 8) == 0) return true;
    if (strcmp(key, "embedding_size") == 0) return l->has_embedding_size;
    for (int j = 0; j < SQZI_BLOCK_LINEARS && l->grouped; j++)
        if (strcmp(key, sqzi_groups_keys[j].key) == 0) return true;
    return false;
}

void sqzi_import_tell_keys(const sqzi_importer *m)
{
    sqzi_name_list unknown = {0};
    const char *key;
    json_t *value;
    json_object_foreach (m->config, key, value) {
        size_t i = 0;
        while (i < sizeof harmless / sizeof *harmless && strcmp(key, harmless[i]) != 0) i++;
        if (i == sizeof harmless / sizeof *harmless && !is_read(m, key))
            sqzi_list_name(&unknown, key);
    }
    if (unknown.n)
        sqzi_import_note(m, "%s: not read, as the %s of Transformers does not read it: %s",
                         m->config_file, m->layout->model_type, sqzi_listed(&unknown));
}

static bool says(const json_t *value)
{
    return value && !json_is_null(value) && !json_is_false(value) &&
           !(json_is_object(value) && json_object_size(value) == 0) &&
           !(json_is_array(value) && json_array_size(value) == 0);
}

sqz_status sqzi_import_check_keys(const sqzi_importer *m)
{
    static const struct {
        const char *key, *what;
    } refused[] = {
        {"is_decoder", "a token would not see those behind it; only encoders can be run"},
        {"add_cross_attention", "only encoders can be run"},
        {"is_encoder_decoder", "only encoders can be run"},
        {"pruned_heads", "its blocks have lost heads: save the model without it (its weights as "
                         "they were, or zeros in their place)"},
        {"quantization_config", "its weights are quantised by another program: import the model "
                                "that it was made from"},
        {"per_layer_config", "its blocks differ from each other, which cannot be read"},
    };
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *position = "absolute";
    TRY(sqzi_json_string(m->config, m->config_file, "position_embedding_type", false, &position,
                         error));
    FAIL_IF(strcmp(position, "absolute") != 0, SQZ_EUNSUPPORTED, 0,
            "%s: position_embedding_type '%s': only absolute positions can be run", m->config_file,
            position);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        FAIL_IF(says(json_object_get(m->config, refused[i].key)), SQZ_EUNSUPPORTED, 0,
                "%s: %s is set: %s", m->config_file, refused[i].key, refused[i].what);
fail:
    return status;
}
