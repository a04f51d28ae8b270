#include "gantry/server/certificate.hpp"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>

#include "gantry/core/errors.hpp"
#include "server/atomic_file.hpp"

namespace gantry::server {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const noexcept {
    Free(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using BigNumber = std::unique_ptr<BIGNUM, Freed<BN_free>>;

void need(bool good, const char* what) {
  if (!good) throw StartupError(std::string("OpenSSL can't ") + what);
}

bool is_address(const std::string& name) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, name.c_str(), buffer) == 1 || inet_pton(AF_INET6, name.c_str(), buffer) == 1;
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    // The value goes through OpenSSL's little configuration language, where these characters mean something.
    if (name.empty() || name.find_first_of(",;= \n\r\t\"'\\#$@") != std::string::npos)
      throw ConfigError("'" + name + "' is no host name or IP address");
    out += (out.empty() ? "" : ",") + std::string(is_address(name) ? "IP:" : "DNS:") + name;
  }
  return out;
}

void extend(X509* certificate, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  need(extension && X509_add_ext(certificate, extension.get(), -1) == 1, "extend a certificate");
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

void write_self_signed(const std::vector<std::string>& names, std::chrono::days valid_for,
                       const std::filesystem::path& certificate_file, const std::filesystem::path& key_file) {
  if (names.empty()) throw ConfigError("a certificate needs at least one host name or IP address");
  for (const auto& file : {certificate_file, key_file})
    if (std::filesystem::exists(file)) throw ConfigError(file.string() + ": exists already; move it away first");
  const std::string alternatives = alternative_names(names);

  const Key key(EVP_EC_gen("P-256"));
  need(key != nullptr, "make a key");
  const Certificate certificate(X509_new());
  need(certificate && X509_set_version(certificate.get(), 2) == 1, "make a certificate");
  const BigNumber serial(BN_new());
  need(serial && BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1, "draw a serial number");
  BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get()));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -300);  // clocks differ by a little
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(valid_for.count()), 0, nullptr);
  need(X509_set_pubkey(certificate.get(), key.get()) == 1, "put a key into a certificate");
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  need(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(names[0].c_str()), -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate.get(), subject) == 1,
       "name a certificate");
  extend(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(certificate.get(), NID_key_usage, "critical,digitalSignature");
  extend(certificate.get(), NID_ext_key_usage, "serverAuth");
  extend(certificate.get(), NID_subject_alt_name, alternatives);
  need(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0, "sign a certificate");

  const Bio certificate_text(BIO_new(BIO_s_mem()));
  const Bio key_text(BIO_new(BIO_s_mem()));
  need(certificate_text && key_text && PEM_write_bio_X509(certificate_text.get(), certificate.get()) == 1 &&
           PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
       "write a certificate");
  if (const auto written = write_file_atomically(key_file, text_of(key_text.get()), 0600); !written)
    throw ConfigError(written.error().message);
  if (const auto written = write_file_atomically(certificate_file, text_of(certificate_text.get()), 0644); !written)
    throw ConfigError(written.error().message);
}

}  // namespace gantry::server
