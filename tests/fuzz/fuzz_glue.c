/* SPDX-License-Identifier: Apache-2.0 */
/* GLUE's tables from a stranger. The first byte chooses the task, the second whether it is a test
 * file (bit 0), its form (1-2) and what quotes mean (3-4). */
#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "squeezebert/eval.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("\t"),
    SQZT_TOKEN("\n"),
    SQZT_TOKEN("\r\n"),
    SQZT_TOKEN("\0"),
    SQZT_TOKEN("\""),
    SQZT_TOKEN("entailment"),
    SQZT_TOKEN("not_entailment"),
    SQZT_TOKEN("neutral"),
    SQZT_TOKEN("0"),
    SQZT_TOKEN("1"),
    SQZT_TOKEN("nan"),
    SQZT_TOKEN("inf"),
    SQZT_TOKEN("1e999"),
    SQZT_TOKEN("0x1p3"),
    SQZT_TOKEN("\xEF\xBB\xBF"),
    SQZT_TOKEN("sentence1\tsentence2\tlabel\n"),
    SQZT_TOKEN("sentence,label,idx\n"),
    SQZT_TOKEN("{\"sentence\":\"a\",\"label\":1,\"idx\":0}\n"),
    SQZT_TOKEN("-1"),
    SQZT_TOKEN("NEG"),
    SQZT_TOKEN("a\tb\tc\td\te\tf\tg\th\ti\tj\tk\tl\tm\tn\to\tp\tq\tr\n"),
};

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

static unsigned sum;

static void touch(sqz_text text)
{
    for (size_t i = 0; i < text.n_bytes; i++) sum += (unsigned char)text.bytes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) return 0;
    sqz_error error = {0};
    sqz_glue *glue = NULL;
    const sqz_glue_task task = (sqz_glue_task)(data[0] % (SQZ_GLUE_AX + 1));
    static const char *const ends[] = {"tsv", "csv", "jsonl", "tsv"};
    const char *split = data[1] & 1 ? "test" : "dev";
    char file[16];
    snprintf(file, sizeof file, "%s.%s", task == SQZ_GLUE_AX ? "AX" : split,
             ends[data[1] >> 1 & 3]);
    const sqz_glue_options options = {.quotes = (sqz_quotes)((data[1] >> 3 & 3) % 3)};
    sqzt_fuzz_write(file, data + 2, n - 2);
    sqzt_fuzz_begin(n);
    if (sqz_glue_open(sqzt_fuzz_context(), task, sqzt_fuzz_path("."), split, &options, &glue,
                      &error) == SQZ_OK) {
        size_t rows;
        const sqz_glue_row *row = sqz_glue_rows(glue, &rows);
        for (size_t r = 0; r < rows; r++) {
            touch(row[r].input.text);
            if (row[r].input.pair) touch(row[r].input.second);
            if (row[r].label > 2 || row[r].score != row[r].score)
                sqzt_fuzz_breach("a label that no task has");
        }
        sum += (unsigned)sqz_glue_skipped(glue) + (unsigned)sqz_glue_labelled(glue);
    } else if (!strstr(error.text, file)) sqzt_fuzz_breach("an error that does not name the file");
    sqz_glue_close(glue);
    sqzt_fuzz_end();
    sqzt_fuzz_remove(file);
    return 0;
}
