/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a compression goes on in (run_folder.h).
 *
 *   run.gguf                the key of the run: of model, data, options and kernels
 *   squeezed-KEY.gguf       a plan's file; -KEY.parts: its table, written last
 *   healed-KEY.plan         how many steps it is healed
 *   healed-KEY/             checkpoints of that
 *   healed-KEY.gguf         what they came to
 *   statistics-KEY.gguf     what layers read, where the caller has no cache of its own
 */
#include <stdio.h>

#include "compress/compressor.h"

sqz_status sqzi_compress_open_folder(sqzi_compressor *c, sqz_error *error)
{
    c->folder.allocator = c->allocator;
    c->folder.path = c->options.folder;
    c->folder.kind = "compress";
    c->folder.resume = c->options.resume != 0;
    return sqzi_run_folder_open(&c->folder, error);
}

void sqzi_compress_name(const sqzi_compressor *c, const char *name, const char *key,
                        const char *ending, char path[SQZI_OUTPUT_PATH])
{
    path[0] = '\0';
    if (c->options.folder && c->out)
        snprintf(path, SQZI_OUTPUT_PATH, "%.4000s/%s-%.16s%s", c->options.folder, name, key,
                 ending);
}

bool sqzi_compress_is_there(const sqzi_compressor *c, const char *path)
{
    return path[0] && sqzi_run_file_is_there(c->context, path);
}
