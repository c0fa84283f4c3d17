#include "interop/tls.h"

#include <array>
#include <ctime>
#include <functional>
#include <mutex>
#include <utility>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/check.h"

namespace penstock::interop {
namespace {

struct Free {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(X509* p) const { X509_free(p); }
};
// shared_ptr: sessions in flight keep the context they began with while a newer one replaces it
using ContextPtr = std::shared_ptr<SSL_CTX>;

std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown";
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

int64_t modified_ns(const std::string& path) {
  struct stat s{};
  if (path.empty() || ::stat(path.c_str(), &s) != 0) return 0;
  return static_cast<int64_t>(s.st_mtim.tv_sec) * 1'000'000'000 + s.st_mtim.tv_nsec;
}

Result<ContextPtr> make_context(const TlsOptions& options) {
  ContextPtr context(SSL_CTX_new(TLS_server_method()), Free{});
  CHECK(context);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_RELEASE_BUFFERS);  // an idle connection keeps no 16 KiB buffers
  const auto bad = [&](const char* what, const std::string& file) {
    return fail(ErrorCode::kInvalidArgument,
                std::string(what) + " cannot be used: " + openssl_reason(), file);
  };
  if (SSL_CTX_use_certificate_chain_file(context.get(), options.certificate_file.c_str()) != 1)
    return bad("the TLS certificate", options.certificate_file);
  if (SSL_CTX_use_PrivateKey_file(context.get(), options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1)
    return bad("the TLS key", options.key_file);
  if (!options.client_ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context.get(), options.client_ca_file.c_str(), nullptr) != 1)
      return bad("the file of client certificate authorities", options.client_ca_file);
    SSL_CTX_set_client_CA_list(context.get(),
                               SSL_load_client_CA_file(options.client_ca_file.c_str()));
    SSL_CTX_set_verify(
        context.get(),
        SSL_VERIFY_PEER |
            (options.require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        nullptr);
    const std::string_view id = "penstock";  // needed for resumption with client certificates
    SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(id.data()),
                                   static_cast<unsigned>(id.size()));
  }
  return context;
}

}  // namespace

struct TlsContext::Impl {
  TlsOptions options;
  std::mutex mutex;
  ContextPtr context;
  std::array<int64_t, 3> modified{};

  [[nodiscard]] std::array<int64_t, 3> times() const {
    return {modified_ns(options.certificate_file), modified_ns(options.key_file),
            modified_ns(options.client_ca_file)};
  }
};

TlsContext::TlsContext() : impl_(std::make_unique<Impl>()) {}
TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::create(const TlsOptions& options) {
  std::unique_ptr<TlsContext> made(new TlsContext);
  made->impl_->options = options;
  made->impl_->modified = made->impl_->times();
  TRY_ASSIGN(made->impl_->context, make_context(options));
  return made;
}

Result<bool> TlsContext::reload_if_changed() {
  const auto times = impl_->times();
  {
    const std::lock_guard lock(impl_->mutex);
    if (times == impl_->modified) return false;
    impl_->modified = times;  // a broken file is reported once, not every time
  }
  TRY_ASSIGN(auto next, make_context(impl_->options));
  const std::lock_guard lock(impl_->mutex);
  impl_->context = std::move(next);
  return true;
}

// -- the client's side

namespace {

struct FreeBio {
  void operator()(BIO* p) const { BIO_free(p); }
};
struct FreeKey {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};

tl::unexpected<Error> bad_pem(const char* what) {
  return fail(ErrorCode::kInvalidArgument, std::string(what) +
                                               " cannot be used: " + openssl_reason() +
                                               ". It is PEM text, as of -----BEGIN …");
}

// Each certificate of a PEM text.
Status each_certificate(const std::string& pem, const char* what,
                        const std::function<void(X509*)>& take) {
  const std::unique_ptr<BIO, FreeBio> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  int count = 0;
  while (std::unique_ptr<X509, Free> one{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)}) {
    take(one.get());
    ++count;
  }
  if (count == 0) return bad_pem(what);
  ERR_clear_error();
  return {};
}

Status use_own_certificate(SSL_CTX* context, const TlsClientOptions& options) {
  bool first = true;
  TRY(each_certificate(options.certificate_pem, "the client certificate", [&](X509* one) {
    if (std::exchange(first, false))
      SSL_CTX_use_certificate(context, one);
    else
      SSL_CTX_add1_chain_cert(context, one);
  }));
  const std::unique_ptr<BIO, FreeBio> in(
      BIO_new_mem_buf(options.key_pem.data(), static_cast<int>(options.key_pem.size())));
  // A key with a passphrase is refused: there is nobody to ask.
  const auto no_passphrase = [](char*, int, int, void*) { return 0; };
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr));
  if (!key) return bad_pem("the client's key");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return fail(ErrorCode::kInvalidArgument,
                "the client's key is not that of its certificate: " + openssl_reason());
  return {};
}

}  // namespace

struct TlsClientContext::Impl {
  std::unique_ptr<SSL_CTX, Free> context;
  Timestamp expires;
};

TlsClientContext::TlsClientContext() : impl_(std::make_unique<Impl>()) {}
TlsClientContext::~TlsClientContext() = default;
Timestamp TlsClientContext::expires() const { return impl_->expires; }

Result<std::unique_ptr<TlsClientContext>> TlsClientContext::create(
    const TlsClientOptions& options) {
  std::unique_ptr<TlsClientContext> made(new TlsClientContext);
  made->impl_->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = made->impl_->context.get();
  CHECK(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (options.ca_pem.empty()) {
    SSL_CTX_set_default_verify_paths(context);
  } else {
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    TRY(each_certificate(options.ca_pem, "the certificate authority",
                         [&](X509* one) { X509_STORE_add_cert(store, one); }));
  }
  if (options.certificate_pem.empty()) return made;
  TRY(use_own_certificate(context, options));
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context)), &end) == 1)
    made->impl_->expires = Timestamp{static_cast<int64_t>(::timegm(&end)) * 1'000'000};
  return made;
}

struct TlsSession::Impl {
  std::unique_ptr<SSL, Free> ssl;
  BIO* in = nullptr;   // owned by ssl
  BIO* out = nullptr;  // owned by ssl
  bool peer_closed = false;

  void drain(Bytes& wire_out) const {
    std::array<std::byte, 16'384> chunk{};
    for (int n = 0; (n = BIO_read(out, chunk.data(), chunk.size())) > 0;)
      append_bytes(wire_out, ByteView(chunk).first(static_cast<size_t>(n)));
  }
};

TlsSession::TlsSession(TlsContext& context) : impl_(std::make_unique<Impl>()) {
  ContextPtr current;
  {
    const std::lock_guard lock(context.impl_->mutex);
    current = context.impl_->context;
  }
  impl_->ssl.reset(SSL_new(current.get()));  // takes its own reference
  CHECK(impl_->ssl);
  impl_->in = BIO_new(BIO_s_mem());
  impl_->out = BIO_new(BIO_s_mem());
  SSL_set_bio(impl_->ssl.get(), impl_->in, impl_->out);
  SSL_set_accept_state(impl_->ssl.get());
}

TlsSession::TlsSession(TlsClientContext& context, const std::string& server_name)
    : impl_(std::make_unique<Impl>()) {
  impl_->ssl.reset(SSL_new(context.impl_->context.get()));
  SSL* ssl = impl_->ssl.get();
  CHECK(ssl);
  impl_->in = BIO_new(BIO_s_mem());
  impl_->out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, impl_->in, impl_->out);
  SSL_set_connect_state(ssl);
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(verify, server_name.c_str()) != 1) {  // no address: a name
    SSL_set1_host(ssl, server_name.c_str());
    SSL_set_tlsext_host_name(ssl, server_name.c_str());
  }
  ERR_clear_error();
}

TlsSession::~TlsSession() = default;

Status TlsSession::on_wire(ByteView wire, Bytes& plain, Bytes& wire_out) {
  SSL* ssl = impl_->ssl.get();
  ERR_clear_error();
  if (!wire.empty())
    CHECK(BIO_write(impl_->in, wire.data(), static_cast<int>(wire.size())) ==
          static_cast<int>(wire.size()));
  std::array<std::byte, 16'384> chunk{};
  while (true) {
    const int n = SSL_read(ssl, chunk.data(), chunk.size());
    if (n > 0) {
      append_bytes(plain, ByteView(chunk).first(static_cast<size_t>(n)));
      continue;
    }
    const int why = SSL_get_error(ssl, n);
    impl_->drain(wire_out);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return {};
    if (why == SSL_ERROR_ZERO_RETURN) {
      impl_->peer_closed = true;
      return {};
    }
    const long verified = SSL_get_verify_result(ssl);
    if (SSL_is_server(ssl) == 0 && verified != X509_V_OK) {
      ERR_clear_error();
      return fail(ErrorCode::kUnauthenticated,
                  std::string("the other side's certificate is not trusted: ") +
                      X509_verify_cert_error_string(verified));
    }
    return fail(ErrorCode::kUnauthenticated, "TLS failed: " + openssl_reason());
  }
}

Status TlsSession::seal(ByteView plain, Bytes& wire_out) {
  while (!plain.empty()) {
    const auto part = plain.first(std::min<size_t>(plain.size(), 16'384));
    if (SSL_write(impl_->ssl.get(), part.data(), static_cast<int>(part.size())) !=
        static_cast<int>(part.size()))
      return fail(ErrorCode::kIo, "TLS failed: " + openssl_reason());
    plain = plain.subspan(part.size());
  }
  impl_->drain(wire_out);
  return {};
}

void TlsSession::shutdown(Bytes& wire_out) {
  SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
  impl_->drain(wire_out);
}

bool TlsSession::handshake_done() const { return SSL_is_init_finished(impl_->ssl.get()) == 1; }
bool TlsSession::peer_closed() const { return impl_->peer_closed; }

std::string TlsSession::client_common_name() const {
  const std::unique_ptr<X509, Free> certificate(SSL_get1_peer_certificate(impl_->ssl.get()));
  if (!certificate || SSL_get_verify_result(impl_->ssl.get()) != X509_V_OK) return {};
  std::array<char, 256> name{};
  const int n = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName,
                                          name.data(), name.size());
  return n > 0 ? std::string(name.data(), static_cast<size_t>(n)) : std::string();
}

Timestamp TlsSession::client_certificate_expires() const {
  const std::unique_ptr<X509, Free> certificate(SSL_get1_peer_certificate(impl_->ssl.get()));
  if (!certificate || SSL_get_verify_result(impl_->ssl.get()) != X509_V_OK) return {};
  struct tm expires{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &expires) != 1) return {};
  return Timestamp{static_cast<int64_t>(timegm(&expires)) * 1'000'000};
}

}  // namespace penstock::interop
