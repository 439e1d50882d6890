/* SPDX-License-Identifier: Apache-2.0 */
/* The program's reader of records: lines, pairs, csv, tsv, jsonl from stdin. The first byte chooses
 * which. cli/records.c and cli/source.c are linked in; what they need of the program stands
 * below. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "records.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("\n"),
    SQZT_TOKEN("\r\n"),
    SQZT_TOKEN(","),
    SQZT_TOKEN("\t"),
    SQZT_TOKEN("\""),
    SQZT_TOKEN("\"\""),
    SQZT_TOKEN("\",\""),
    SQZT_TOKEN("\0"),
    SQZT_TOKEN("{\"text\":\"a\"}\n"),
    SQZT_TOKEN("\"text\":"),
    SQZT_TOKEN("\"text2\":\"\\u0000\""),
    SQZT_TOKEN("null"),
    SQZT_TOKEN("[1,2,{}]"),
    SQZT_TOKEN("\\u0000"),
    SQZT_TOKEN("\\ud800"),
    SQZT_TOKEN("1e400"),
    SQZT_TOKEN("text,text2\n"),
    SQZT_TOKEN("text\ttext2\n"),
    SQZT_TOKEN("\xEF\xBB\xBF"),
    SQZT_TOKEN("{"),
    SQZT_TOKEN("}"),
    SQZT_TOKEN("["),
};

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

cli_settings cli;
static jmp_buf refused;

void cli_die(int code, const char *format, ...)
{
    (void)format;
    longjmp(refused, code);
}

void *cli_allocate(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes ? bytes : 1);
    if (!memory) sqzt_fuzz_breach("no memory");
    return memory;
}

static unsigned sum;

static void touch(sqz_text text)
{
    for (size_t i = 0; i < text.n_bytes; i++) sum += (unsigned char)text.bytes[i];
}

static void read_all(void)
{
    cli_record *records;
    cli_records_open((cli_reading){.most = 7});
    for (uint32_t n; (n = cli_records_next(&records)) > 0;)
        for (uint32_t r = 0; r < n; r++) {
            const cli_record *record = &records[r];
            if (record->status != SQZ_OK) {
                if (!record->fault[0] || strlen(record->fault) >= sizeof record->fault)
                    sqzt_fuzz_breach("a fault without a text");
                continue;
            }
            touch(record->input.text);
            if (record->input.pair) touch(record->input.second);
            for (uint32_t f = 0; f < record->n_fields; f++) {
                sum += (unsigned)strlen(record->fields[f].name);
                if (record->fields[f].json) sum += (unsigned)strlen(record->fields[f].json);
                else touch(record->fields[f].text);
            }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n) return 0;
    cli = (cli_settings){.input = data[0] & 3, .pair = data[0] >> 2 & 1};
    sqzt_fuzz_write("records", data + 1, n - 1);
    const int file = open(sqzt_fuzz_path("records"), O_RDONLY);
    if (file < 0 || dup2(file, STDIN_FILENO) < 0) sqzt_fuzz_breach("cannot read what was written");
    close(file);
    sqzt_fuzz_begin(n);
    if (setjmp(refused) == 0) read_all();
    cli_records_close();
    sqzt_fuzz_end();
    return 0;
}
