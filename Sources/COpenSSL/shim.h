#pragma once
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

// OpenSSL's macros, which Swift does not see. One line each; nothing is decided here.
static inline long postern_SSL_CTX_set_min_proto_version(SSL_CTX *c, int v) { return SSL_CTX_set_min_proto_version(c, v); }
static inline long postern_SSL_CTX_set_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline long postern_SSL_CTX_set_session_cache_mode(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline long postern_SSL_CTX_set1_groups_list(SSL_CTX *c, const char *l) { return SSL_CTX_set1_groups_list(c, l); }
static inline long postern_SSL_CTX_add1_chain_cert(SSL_CTX *c, X509 *x) { return SSL_CTX_add1_chain_cert(c, x); }
static inline int postern_SSL_CTX_set_ticket_keys(
    SSL_CTX *c, int (*cb)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int)) {
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(c, cb);
}
static inline long postern_SSL_set_tlsext_host_name(SSL *s, const char *n) { return SSL_set_tlsext_host_name(s, n); }
static inline int postern_EVP_MAC_init_sha256(EVP_MAC_CTX *m, unsigned char *key, size_t length) {
    OSSL_PARAM params[3];
    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, length);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    params[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(m, params);
}
static inline EVP_PKEY *postern_EVP_EC_gen_P256(void) { return EVP_EC_gen("P-256"); }
static inline long postern_BIO_get_mem_data(BIO *b, char **p) { return BIO_get_mem_data(b, p); }
static inline int postern_BIO_should_retry_read(BIO *b) { BIO_clear_retry_flags(b); BIO_set_retry_read(b); return -1; }
static inline int postern_ERR_reason(unsigned long e) { return ERR_GET_REASON(e); }
static inline int postern_names_count(GENERAL_NAMES *n) { return sk_GENERAL_NAME_num(n); }
static inline GENERAL_NAME *postern_names_at(GENERAL_NAMES *n, int i) { return sk_GENERAL_NAME_value(n, i); }
static inline void postern_names_free(GENERAL_NAMES *n) { GENERAL_NAMES_free(n); }
static inline X509_EXTENSIONS *postern_extensions_new(void) { return sk_X509_EXTENSION_new_null(); }
static inline int postern_extensions_push(X509_EXTENSIONS *s, X509_EXTENSION *e) { return sk_X509_EXTENSION_push(s, e); }
static inline void postern_extensions_free(X509_EXTENSIONS *s) { sk_X509_EXTENSION_pop_free(s, X509_EXTENSION_free); }
static inline int postern_X509_NAME_print(BIO *b, const X509_NAME *n) {
    return X509_NAME_print_ex(b, n, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
}
static inline uint64_t postern_SSL_options_server(void) { return SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA; }
static inline uint64_t postern_SSL_options_always(void) { return SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION; }
static inline uint64_t postern_SSL_options_no_ticket(void) { return SSL_OP_NO_TICKET; }
static inline long postern_SSL_CTX_set_status_cb(SSL_CTX *c, int (*cb)(SSL *, void *), void *arg) {
    SSL_CTX_set_tlsext_status_arg(c, arg);
    return SSL_CTX_set_tlsext_status_cb(c, cb);
}
// Takes a copy: OpenSSL frees what it is given.
static inline int postern_SSL_set_status(SSL *s, const unsigned char *bytes, size_t count) {
    unsigned char *copy = OPENSSL_memdup(bytes, count);
    return copy && SSL_set_tlsext_status_ocsp_resp(s, copy, (long)count) == 1;
}
// The first responder that a certificate names, or 0.
static inline int postern_ocsp_url(X509 *x, char *out, size_t capacity) {
    STACK_OF(OPENSSL_STRING) *all = X509_get1_ocsp(x);
    int found = 0;
    if (all && sk_OPENSSL_STRING_num(all) > 0) {
        const char *first = sk_OPENSSL_STRING_value(all, 0);
        if (strlen(first) < capacity) {
            strcpy(out, first);
            found = 1;
        }
    }
    X509_email_free(all);
    return found;
}
static inline STACK_OF(X509) *postern_certificates_new(void) { return sk_X509_new_null(); }
static inline int postern_certificates_push(STACK_OF(X509) *s, X509 *x) { return sk_X509_push(s, x); }
static inline void postern_certificates_free(STACK_OF(X509) *s) { sk_X509_free(s); }
// RFC 7914 through EVP_KDF. n is a power of two; returns 1 on success.
static inline int postern_scrypt(
    const char *password, size_t password_length, const unsigned char *salt, size_t salt_length, uint64_t n, uint32_t r,
    uint32_t p, unsigned char *out, size_t out_length) {
    uint64_t memory = 128 * n * r + 128 * (uint64_t)r * p + (1 << 20);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    EVP_KDF_free(kdf);
    if (!context) return 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)password, password_length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_length),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    int done = EVP_KDF_derive(context, out, out_length, params);
    EVP_KDF_CTX_free(context);
    return done == 1;
}
static inline int postern_equal(const void *a, const void *b, size_t length) { return CRYPTO_memcmp(a, b, length) == 0; }
