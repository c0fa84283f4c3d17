#include "interop/lwm2m/dtls.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace penstock::interop::lwm2m {
namespace {

// OMA-TS-LightweightM2M_Transport 1.1.1, 5.2.8 and 5.2.9, and those that constrained stacks of
// today bring. CCM_8 counts as 64 bits: OpenSSL offers it at security level 0 only, so all that is
// allowed is listed.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-CCM:"
    "ECDHE-ECDSA-AES128-CCM8:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256:"
    "PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-CCM:PSK-AES128-CCM8:"
    "PSK-AES128-CBC-SHA256:@SECLEVEL=0";
constexpr size_t kMtu = 1200;  // fits IPv6's 1280 with headers to spare

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  char text[256] = "unknown";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  return text;
}

const std::array<unsigned char, 32>& cookie_secret() {
  static const std::array<unsigned char, 32> secret = [] {
    std::array<unsigned char, 32> bytes{};
    RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }();
  return secret;
}

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
struct CtxFree {
  void operator()(SSL_CTX* ctx) const { SSL_CTX_free(ctx); }
};

}  // namespace

struct SecureContext::Impl {
  SecureOptions options;
  std::unique_ptr<SSL_CTX, CtxFree> ctx;
};

struct SecureSession::Impl {
  SecureContext::Impl* context = nullptr;
  std::function<void(ByteView)> send;
  std::unique_ptr<SSL, SslFree> ssl;
  ByteView incoming;  // the datagram (or the rest of the stream's bytes) being read
  std::string address;
  bool done = false;
};

namespace {

SecureSession::Impl* session_of(const SSL* ssl) {
  return static_cast<SecureSession::Impl*>(SSL_get_ex_data(ssl, 0));
}

// -- a BIO that keeps datagrams whole

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  auto* session = static_cast<SecureSession::Impl*>(BIO_get_data(bio));
  session->send({reinterpret_cast<const std::byte*>(data), static_cast<size_t>(size)});
  return size;
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  auto* session = static_cast<SecureSession::Impl*>(BIO_get_data(bio));
  if (session->incoming.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t count = std::min(session->incoming.size(), static_cast<size_t>(size));
  std::memcpy(data, session->incoming.data(), count);
  // A datagram is read once, whatever fitted.
  session->incoming =
      session->context->options.stream ? session->incoming.subspan(count) : ByteView();
  return static_cast<int>(count);
}

long bio_ctrl(BIO* bio, int command, long number, void* pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return static_cast<long>(kMtu);
    default:
      return 0;
  }
}

BIO_METHOD* wire_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "penstock wire");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_ctrl);
    return made;
  }();
  return method;
}

// -- callbacks

bool make_cookie(const SecureSession::Impl& session, unsigned char* cookie, unsigned* size) {
  return HMAC(EVP_sha256(), cookie_secret().data(), static_cast<int>(cookie_secret().size()),
              reinterpret_cast<const unsigned char*>(session.address.data()),
              session.address.size(), cookie, size) != nullptr;
}

int on_cookie_generate(SSL* ssl, unsigned char* cookie, unsigned* size) {
  return make_cookie(*session_of(ssl), cookie, size) ? 1 : 0;
}

int on_cookie_verify(SSL* ssl, const unsigned char* cookie, unsigned size) {
  unsigned char expected[EVP_MAX_MD_SIZE];
  unsigned expected_size = 0;
  return make_cookie(*session_of(ssl), expected, &expected_size) && size == expected_size &&
                 CRYPTO_memcmp(cookie, expected, size) == 0
             ? 1
             : 0;
}

unsigned on_psk(SSL* ssl, const char* identity, unsigned char* key, unsigned key_size_max) {
  const auto found = session_of(ssl)->context->options.key_of(identity);
  if (!found || found->size() > key_size_max) return 0;
  std::memcpy(key, found->data(), found->size());
  return static_cast<unsigned>(found->size());
}

// RFC 5077: 16 bytes name, 16 bytes AES key, 16 bytes MAC key.
int on_ticket(SSL* ssl, unsigned char* key_name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
              EVP_MAC_CTX* mac, int sealing) {
  const std::string& key = session_of(ssl)->context->options.ticket_key;
  const auto* bytes = reinterpret_cast<const unsigned char*>(key.data());
  if (sealing != 0) {
    std::memcpy(key_name, bytes, 16);
    if (RAND_bytes(iv, 16) != 1) return -1;
  } else if (CRYPTO_memcmp(key_name, bytes, 16) != 0) {
    return 0;  // of another key: a whole handshake
  }
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<char*>(key.data()) + 32, 16),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
  const int ok = sealing != 0
                     ? EVP_EncryptInit_ex(cipher, EVP_aes_128_cbc(), nullptr, bytes + 16, iv)
                     : EVP_DecryptInit_ex(cipher, EVP_aes_128_cbc(), nullptr, bytes + 16, iv);
  return ok == 1 ? 1 : -1;
}

Status load_certificates(SSL_CTX* ctx, const SecureOptions& options) {
  if (options.certificate_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(ctx, options.certificate_file.c_str()) != 1)
    return fail(ErrorCode::kInvalidArgument, "the certificate was not read: " + openssl_error(),
                options.certificate_file);
  if (SSL_CTX_use_PrivateKey_file(ctx, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return fail(ErrorCode::kInvalidArgument, "the key was not read: " + openssl_error(),
                options.key_file);
  if (options.client_ca_file.empty()) {
    // Nobody could be told apart: without an authority only pre-shared keys connect.
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return {};
  }
  if (SSL_CTX_load_verify_locations(ctx, options.client_ca_file.c_str(), nullptr) != 1)
    return fail(ErrorCode::kInvalidArgument,
                "the client authority was not read: " + openssl_error(), options.client_ca_file);
  SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(options.client_ca_file.c_str()));
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return {};
}

}  // namespace

SecureContext::SecureContext() : impl_(std::make_unique<Impl>()) {}
SecureContext::~SecureContext() = default;

Result<std::unique_ptr<SecureContext>> SecureContext::create(SecureOptions options) {
  std::unique_ptr<SecureContext> out(new SecureContext);
  Impl& impl = *out->impl_;
  impl.options = std::move(options);
  if (impl.options.ticket_key.size() != 48)
    return fail(ErrorCode::kInternal, "the ticket key has 48 bytes");
  impl.ctx.reset(SSL_CTX_new(impl.options.stream ? TLS_server_method() : DTLS_server_method()));
  SSL_CTX* ctx = impl.ctx.get();
  if (ctx == nullptr) return fail(ErrorCode::kInternal, "no TLS: " + openssl_error());
  SSL_CTX_set_min_proto_version(ctx, impl.options.stream ? TLS1_2_VERSION : DTLS1_2_VERSION);
  // PSK of TLS 1.3 is another thing than the identities of LwM2M.
  if (impl.options.stream) SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
  if (SSL_CTX_set_cipher_list(ctx, kCiphers) != 1)
    return fail(ErrorCode::kInternal, "no ciphers: " + openssl_error());
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_psk_server_callback(ctx, on_psk);
  SSL_CTX_set_cookie_generate_cb(ctx, on_cookie_generate);
  SSL_CTX_set_cookie_verify_cb(ctx, on_cookie_verify);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
  // For stacks without tickets: session ids, 20,000 of them.
  static constexpr unsigned char kName[] = "penstock-lwm2m";
  SSL_CTX_set_session_id_context(ctx, kName, sizeof kName - 1);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(ctx, 20'000);
  SSL_CTX_set_timeout(ctx, 7 * 24 * 3600);
  TRY(load_certificates(ctx, impl.options));
  return out;
}

SecureSession::SecureSession(SecureContext& context, std::function<void(ByteView)> send)
    : impl_(std::make_unique<Impl>()) {
  impl_->context = context.impl_.get();
  impl_->send = std::move(send);
  impl_->ssl.reset(SSL_new(context.impl_->ctx.get()));
  SSL* ssl = impl_->ssl.get();
  SSL_set_ex_data(ssl, 0, impl_.get());
  BIO* wire = BIO_new(wire_method());
  BIO_set_data(wire, impl_.get());
  BIO_set_init(wire, 1);
  SSL_set_bio(ssl, wire, wire);
  if (!context.impl_->options.stream) {
    SSL_set_options(ssl, SSL_OP_COOKIE_EXCHANGE);
    SSL_set_mtu(ssl, kMtu);
  }
  SSL_set_accept_state(ssl);
}

SecureSession::~SecureSession() = default;

bool SecureSession::listen(ByteView datagram, std::string_view address) {
  impl_->address = address;
  impl_->incoming = datagram;
  BIO_ADDR* unused = BIO_ADDR_new();
  const int result = DTLSv1_listen(impl_->ssl.get(), unused);
  BIO_ADDR_free(unused);
  impl_->incoming = {};
  ERR_clear_error();
  return result > 0;
}

bool SecureSession::on_wire(ByteView bytes, std::vector<Bytes>& plain, std::string& why) {
  impl_->incoming = bytes;
  SSL* ssl = impl_->ssl.get();
  std::byte buffer[16'384];
  for (;;) {
    ERR_clear_error();
    const int size = SSL_read(ssl, buffer, sizeof buffer);
    if (size > 0) {
      if (impl_->context->options.stream && !plain.empty())
        append_bytes(plain.back(), {buffer, static_cast<size_t>(size)});
      else
        plain.emplace_back(buffer, buffer + size);
      continue;
    }
    const int error = SSL_get_error(ssl, size);
    impl_->incoming = {};
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
    why = error == SSL_ERROR_ZERO_RETURN ? "the device closed the session" : openssl_error();
    ERR_clear_error();
    return false;
  }
}

bool SecureSession::seal(ByteView plain) {
  ERR_clear_error();
  return plain.empty() ||
         SSL_write(impl_->ssl.get(), plain.data(), static_cast<int>(plain.size())) > 0;
}

void SecureSession::shutdown() {
  if (established()) SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
}

bool SecureSession::established() const { return SSL_is_init_finished(impl_->ssl.get()) == 1; }

bool SecureSession::on_tick() {
  if (impl_->context->options.stream || established()) return true;
  return DTLSv1_handle_timeout(impl_->ssl.get()) >= 0;
}

namespace {

void add_names(X509* certificate, std::vector<std::string>& out) {
  char common[256];
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                             common, sizeof common);
  // A name with a NUL in it would compare as the part before it.
  if (size > 0 && std::strlen(common) == static_cast<size_t>(size)) out.emplace_back(common);
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS && name->type != GEN_URI) continue;
    const ASN1_IA5STRING* text =
        name->type == GEN_DNS ? name->d.dNSName : name->d.uniformResourceIdentifier;
    std::string value(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
    if (value.find('\0') == std::string::npos) out.push_back(std::move(value));
  }
  GENERAL_NAMES_free(names);
}

}  // namespace

SecurePeer SecureSession::peer() const {
  SecurePeer out;
  SSL* ssl = impl_->ssl.get();
  if (const char* identity = SSL_get_psk_identity(ssl)) out.identity = identity;
  if (X509* certificate = SSL_get0_peer_certificate(ssl)) add_names(certificate, out.names);
  out.resumed = SSL_session_reused(ssl) == 1;
  if (const SSL_SESSION* session = SSL_get0_session(ssl))
    out.session_made_s = SSL_SESSION_get_time(session);
  return out;
}

bool is_client_hello(ByteView datagram, bool& first) {
  // RFC 6347, 4.1 and 4.2.2: handshake record, any version, epoch 0, message type 1; message_seq.
  const bool hello = datagram.size() > 25 && datagram[0] == std::byte{22} &&
                     datagram[3] == std::byte{0} && datagram[4] == std::byte{0} &&
                     datagram[13] == std::byte{1};
  first = hello && datagram[17] == std::byte{0} && datagram[18] == std::byte{0};
  return hello;
}

}  // namespace penstock::interop::lwm2m
