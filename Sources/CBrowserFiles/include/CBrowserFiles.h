// The files of pages that run in the browser, as scripts/browser has put them into `generated`. A build without that step has none.
#pragma once

#include <stddef.h>

struct postern_browser_file {
    const char *name;
    // Compressed with gzip.
    const unsigned char *packed;
    size_t packed_count;
};

// How many files there are; 0 where `scripts/browser` was not run.
size_t postern_browser_file_count(void);
struct postern_browser_file postern_browser_file(size_t index);
