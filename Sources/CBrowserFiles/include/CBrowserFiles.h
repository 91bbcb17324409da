// The files of pages that run in the browser, as scripts/browser has put them into `generated`. A build without that step has none.
#pragma once

#include <stddef.h>

struct postern_browser_file {
    const char *name;
    // As it is, and by gzip.
    const unsigned char *plain, *packed;
    size_t plain_count, packed_count;
};

// How many files there are; 0 where `scripts/browser` was not run.
size_t postern_browser_file_count(void);
struct postern_browser_file postern_browser_file(size_t index);
