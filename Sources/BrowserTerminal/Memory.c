// Memory and C functions for the terminal in the browser: WebAssembly without a C library.
//
// The allocator keeps freed blocks in lists by size class and takes new ones from the end of memory. Blocks are never merged: a
// terminal allocates lines of few different lengths over and over.

#include <stddef.h>
#include <stdint.h>

extern unsigned char __heap_base;

#define CLASSES 28         // Up to 2^31 bytes.
#define SMALLEST 4         // 16 bytes.
#define HEADER 16          // Holds the size class; keeps blocks aligned to 16.
#define PAGE 65536

struct block { struct block *next; };

static struct block *free_lists[CLASSES];
static uintptr_t end_of_heap;

static int class_of(size_t size) {
    int class = 0;
    while (((size_t)1 << (class + SMALLEST)) < size) class++;
    return class;
}

void *malloc(size_t size) {
    int class = class_of(size + HEADER);
    if (class >= CLASSES) __builtin_trap();
    if (free_lists[class]) {
        struct block *taken = free_lists[class];
        free_lists[class] = taken->next;
        return taken;
    }
    if (!end_of_heap) end_of_heap = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    size_t whole = (size_t)1 << (class + SMALLEST);
    uintptr_t start = end_of_heap, end = start + whole;
    uintptr_t available = __builtin_wasm_memory_size(0) * (uintptr_t)PAGE;
    if (end > available && __builtin_wasm_memory_grow(0, (end - available + PAGE - 1) / PAGE) == (size_t)-1) __builtin_trap();
    end_of_heap = end;
    *(int *)start = class;
    return (void *)(start + HEADER);
}

void free(void *pointer) {
    if (!pointer) return;
    int class = *(int *)((uintptr_t)pointer - HEADER);
    struct block *freed = pointer;
    freed->next = free_lists[class];
    free_lists[class] = freed;
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    // Swift asks for at most 16 here.
    if (alignment > HEADER) __builtin_trap();
    *result = malloc(size);
    return 0;
}

void *memcpy(void *restrict target, const void *restrict source, size_t count) {
    unsigned char *to = target;
    const unsigned char *from = source;
    for (size_t index = 0; index < count; index++) to[index] = from[index];
    return target;
}

void *memmove(void *target, const void *source, size_t count) {
    unsigned char *to = target;
    const unsigned char *from = source;
    if (to < from) {
        for (size_t index = 0; index < count; index++) to[index] = from[index];
    } else {
        for (size_t index = count; index > 0; index--) to[index - 1] = from[index - 1];
    }
    return target;
}

void *memset(void *target, int value, size_t count) {
    unsigned char *to = target;
    for (size_t index = 0; index < count; index++) to[index] = (unsigned char)value;
    return target;
}

int memcmp(const void *left, const void *right, size_t count) {
    const unsigned char *a = left, *b = right;
    for (size_t index = 0; index < count; index++) {
        if (a[index] != b[index]) return a[index] < b[index] ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

// Hashes of dictionaries are seeded once; nothing here is a secret. Wasm has no source of random numbers.
void arc4random_buf(void *target, size_t count) { memset(target, 0x5A, count); }

int putchar(int character) { return character; }

uintptr_t __stack_chk_guard = 0x5A5A5A5A;
void __stack_chk_fail(void) { __builtin_trap(); }

// Multiplication of 128-bit integers (compiler-rt's), from 32-bit halves of the low words.
__attribute__((visibility("default"))) __int128 __multi3(__int128 left, __int128 right) {
    uint64_t a = (uint64_t)left, b = (uint64_t)right;
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    uint64_t high = a1 * b1 + (middle >> 32) + (other >> 32);
    high += (uint64_t)(left >> 64) * b + a * (uint64_t)(right >> 64);
    return (__int128)((unsigned __int128)high << 64 | (other << 32 | (uint32_t)low));
}
