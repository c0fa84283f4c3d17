#include "transport.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

#include <arpa/inet.h>
#include <coap3/coap.h>

namespace lwm2m_peer {
namespace {

struct Target {
  coap_proto_t proto;
  std::string host;
  uint16_t port;
  std::string path;
};

Target parse(const std::string& uri) {
  const size_t colon = uri.find("://");
  if (colon == std::string::npos) throw std::runtime_error("not a URI: " + uri);
  const std::string scheme = uri.substr(0, colon);
  const size_t slash = std::min(uri.find('/', colon + 3), uri.size());
  std::string host = uri.substr(colon + 3, slash - colon - 3);
  const size_t at = host.rfind(':');
  const bool secure = scheme.starts_with("coaps"), tcp = scheme.ends_with("+tcp");
  uint16_t port = secure ? 5684 : 5683;
  if (at != std::string::npos) {
    port = static_cast<uint16_t>(std::stoi(host.substr(at + 1)));
    host.resize(at);
  }
  if (host == "localhost") host = "127.0.0.1";
  const coap_proto_t proto = tcp ? (secure ? COAP_PROTO_TLS : COAP_PROTO_TCP)
                                 : (secure ? COAP_PROTO_DTLS : COAP_PROTO_UDP);
  return {proto, host, port, uri.substr(slash)};
}

sockaddr_in address_of(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    throw std::runtime_error("the peer takes IPv4 addresses: " + host);
  return address;
}

std::string token_of(const coap_pdu_t* pdu) {
  const coap_bin_const_t token = coap_pdu_get_token(pdu);
  return {reinterpret_cast<const char*>(token.s), token.length};
}

std::string body_of(const coap_pdu_t* pdu) {
  size_t size = 0, offset = 0, total = 0;
  const uint8_t* data = nullptr;
  if (!coap_get_data_large(pdu, &size, &data, &offset, &total)) return {};
  return {reinterpret_cast<const char*>(data), size};
}

std::vector<std::string> options_of(const coap_pdu_t* pdu, coap_option_num_t number) {
  std::vector<std::string> out;
  coap_opt_iterator_t iterator;
  coap_option_iterator_init(pdu, &iterator, COAP_OPT_ALL);
  while (coap_opt_t* option = coap_option_next(&iterator))
    if (iterator.number == number)
      out.emplace_back(reinterpret_cast<const char*>(coap_opt_value(option)),
                       coap_opt_length(option));
  return out;
}

std::optional<int> number_of(const coap_pdu_t* pdu, coap_option_num_t number) {
  coap_opt_iterator_t iterator;
  coap_opt_t* option = coap_check_option(pdu, number, &iterator);
  if (!option) return {};
  return static_cast<int>(coap_decode_var_bytes(coap_opt_value(option), coap_opt_length(option)));
}

void add_number(coap_pdu_t* pdu, coap_option_num_t number, uint32_t value) {
  uint8_t bytes[4];
  const size_t size = coap_encode_var_safe(bytes, sizeof bytes, value);
  coap_add_option(pdu, number, size, bytes);
}
void add_text(coap_pdu_t* pdu, coap_option_num_t number, const std::string& text) {
  coap_add_option(pdu, number, text.size(), reinterpret_cast<const uint8_t*>(text.data()));
}
const uint8_t* bytes_of(const std::string& text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

coap_fixed_point_t fixed(double seconds) {
  const double whole = std::floor(seconds);
  return {static_cast<uint16_t>(whole), static_cast<uint16_t>((seconds - whole) * 1000)};
}

}  // namespace

struct Transport::Glue {
  static Transport* of(const coap_session_t* session) {
    return static_cast<Transport*>(coap_get_app_data(coap_session_get_context(session)));
  }

  static coap_response_t response(coap_session_t* session, const coap_pdu_t*,
                                  const coap_pdu_t* received, const coap_mid_t) {
    Transport* self = of(session);
    const auto found = self->open_.find(token_of(received));
    if (found == self->open_.end()) return COAP_RESPONSE_OK;
    const Then then = std::move(found->second.then);
    self->open_.erase(found);
    Answer answer;
    const auto code = static_cast<int>(coap_pdu_get_code(received));
    answer.code = (code >> 5) * 100 + (code & 31);
    answer.format = number_of(received, COAP_OPTION_CONTENT_FORMAT);
    if (!answer.format && !body_of(received).empty()) answer.format = 0;
    answer.location = options_of(received, COAP_OPTION_LOCATION_PATH);
    answer.body = body_of(received);
    then(answer);
    return COAP_RESPONSE_OK;
  }

  static void nack(coap_session_t* session, const coap_pdu_t* sent, const coap_nack_reason_t reason,
                   const coap_mid_t) {
    Transport* self = of(session);
    const std::string token = sent ? token_of(sent) : std::string();
    const bool of_notification = self->notifying_ && token == self->notified_token_;
    if (reason == COAP_NACK_RST && of_notification) {
      self->notifying_ = false;
      self->callbacks_.notified(false);
      self->callbacks_.cancelled(token);
      return;
    }
    static const char* const kWhy[] = {
        "no acknowledgement", "not deliverable", "reset", "TLS failed", "ICMP", "bad response"};
    self->broken_ = reason < 6 ? kWhy[reason] : "nack";
  }

  static int event(coap_session_t* session, const coap_event_t event) {
    Transport* self = of(session);
    if (session != self->session_) return 0;
    switch (event) {
      case COAP_EVENT_DTLS_CLOSED:
      case COAP_EVENT_DTLS_ERROR:
      case COAP_EVENT_TCP_CLOSED:
      case COAP_EVENT_TCP_FAILED:
      case COAP_EVENT_SESSION_CLOSED:
      case COAP_EVENT_SESSION_FAILED:
        self->broken_ = "the session ended";
        break;
      default:
        break;
    }
    return 0;
  }

  static void asked(coap_resource_t*, coap_session_t* session, const coap_pdu_t* request,
                    const coap_string_t*, coap_pdu_t* response) {
    Transport* self = of(session);
    Message message;
    message.method = static_cast<Method>(coap_pdu_get_code(request));
    message.path = options_of(request, COAP_OPTION_URI_PATH);
    message.query = options_of(request, COAP_OPTION_URI_QUERY);
    message.format = number_of(request, COAP_OPTION_CONTENT_FORMAT);
    message.accept = number_of(request, COAP_OPTION_ACCEPT);
    message.observe = number_of(request, COAP_OPTION_OBSERVE);
    message.body = body_of(request);
    message.token = token_of(request);
    answer(self->callbacks_.asked(message), request, response);
  }

  // Large answers go block by block, from what is true at the time of each.
  static void answer(const Answer& answer, const coap_pdu_t* request, coap_pdu_t* response) {
    coap_pdu_set_code(response,
                      static_cast<coap_pdu_code_t>((answer.code / 100) << 5 | answer.code % 100));
    coap_block_t block{};
    const bool wanted = coap_get_block(request, COAP_OPTION_BLOCK2, &block) != 0;
    if (!wanted) block = {0, 0, 6};
    const size_t width = size_t{1} << (block.szx + 4), at = block.num * width;
    if (at > answer.body.size()) {
      coap_pdu_set_code(response, COAP_RESPONSE_CODE_BAD_REQUEST);
      return;
    }
    const size_t size = std::min(width, answer.body.size() - at);
    const bool more = at + size < answer.body.size();
    if (answer.observe)
      add_number(response, COAP_OPTION_OBSERVE, static_cast<uint32_t>(*answer.observe));
    for (const std::string& part : answer.location)
      add_text(response, COAP_OPTION_LOCATION_PATH, part);
    if (answer.format)
      add_number(response, COAP_OPTION_CONTENT_FORMAT, static_cast<uint32_t>(*answer.format));
    if (wanted || more)
      add_number(response, COAP_OPTION_BLOCK2, block.num << 4 | (more ? 8u : 0u) | block.szx);
    if (size > 0) coap_add_data(response, size, bytes_of(answer.body) + at);
  }
};

Transport::Transport(Callbacks callbacks, Timing timing)
    : callbacks_(std::move(callbacks)), timing_(timing) {
  coap_startup();
  context_ = coap_new_context(nullptr);
  if (!context_) throw std::runtime_error("libcoap gave no context");
  coap_set_app_data(context_, this);
  coap_context_set_block_mode(context_, COAP_BLOCK_USE_LIBCOAP | COAP_BLOCK_SINGLE_BODY);
  coap_register_response_handler(context_, Glue::response);
  coap_register_nack_handler(context_, Glue::nack);
  coap_register_event_handler(context_, Glue::event);
  // Every path is served by one handler, which knows the objects.
  coap_resource_t* all = coap_resource_unknown_init2(Glue::asked, 0);
  for (const coap_request_t method : {COAP_REQUEST_GET, COAP_REQUEST_POST, COAP_REQUEST_DELETE,
                                      COAP_REQUEST_FETCH, COAP_REQUEST_IPATCH})
    coap_register_request_handler(all, method, Glue::asked);
  coap_add_resource(context_, all);
}

Transport::~Transport() {
  close();
  coap_free_context(context_);
  coap_cleanup();
}

coap_session_t* Transport::open(const std::string& uri, const Security& security, uint16_t port) {
  const Target target = parse(uri);
  coap_address_t address;
  coap_address_init(&address);
  address.addr.sin = address_of(port ? "127.0.0.1" : target.host, port ? port : target.port);
  address.size = sizeof(sockaddr_in);
  static char name[] = "localhost";
  coap_session_t* session = nullptr;
  if (target.proto == COAP_PROTO_UDP || target.proto == COAP_PROTO_TCP) {
    session = coap_new_client_session(context_, nullptr, &address, target.proto);
  } else if (!security.certificate.empty()) {
    coap_dtls_pki_t pki{};
    pki.version = COAP_DTLS_PKI_SETUP_VERSION;
    pki.verify_peer_cert = 1;
    pki.check_common_ca = 1;
    pki.cert_chain_validation = 1;
    pki.cert_chain_verify_depth = 3;
    pki.client_sni = name;
    pki.pki_key.key_type = COAP_PKI_KEY_PEM;
    pki.pki_key.key.pem = {security.ca.c_str(), security.certificate.c_str(),
                           security.private_key.c_str()};
    session = coap_new_client_session_pki(context_, nullptr, &address, target.proto, &pki);
  } else {
    coap_dtls_cpsk_t psk{};
    psk.version = COAP_DTLS_CPSK_SETUP_VERSION;
    psk.client_sni = name;
    psk.psk_info.identity = {security.identity.size(), bytes_of(security.identity)};
    psk.psk_info.key = {security.key.size(), bytes_of(security.key)};
    session = coap_new_client_session_psk2(context_, nullptr, &address, target.proto, &psk);
  }
  if (!session) return nullptr;
  coap_session_set_ack_timeout(session, fixed(timing_.ack_timeout_s));
  coap_session_set_max_retransmit(session, static_cast<uint16_t>(timing_.retransmit_max));
  coap_session_set_nstart(session, static_cast<uint16_t>(timing_.parallel_max));
  return session;
}

void Transport::connect(const std::string& uri, const Security& security, bool same_port) {
  close();
  const Target target = parse(uri);
  uint16_t port = 0;
  if (target.proto == COAP_PROTO_UDP || target.proto == COAP_PROTO_DTLS) {
    const std::string behind = target.host + ":" + std::to_string(target.port);
    if (!relay_ || behind != relayed_)
      relay_ = std::make_unique<Relay>(address_of(target.host, target.port));
    else if (!same_port)
      relay_->renew_port();
    relayed_ = behind;
    port = relay_->port();
  }
  session_ = open(uri, security, port);
  if (!session_) broken_ = "no session: is the server there?";
}

void Transport::close() {
  coap_session_t* session = session_;
  session_ = nullptr;  // what its end reports is not news
  if (session) coap_session_release(session);
  for (coap_session_t* other : others_) coap_session_release(other);
  others_.clear();
  fail_all("the session was closed");
  broken_.clear();
}

void Transport::fail_all(const std::string& why) {
  const auto open = std::move(open_);
  open_.clear();
  if (notifying_) {
    notifying_ = false;
    callbacks_.notified(false);
  }
  Answer none;
  none.trouble = why;
  for (const auto& [token, one] : open) one.then(none);
}

void Transport::send(coap_session_t* session, const Message& message, std::optional<uint32_t> block,
                     Then then) {
  Answer none;
  none.trouble = "not connected";
  if (!session) return then(none);
  coap_pdu_t* pdu = coap_pdu_init(COAP_MESSAGE_CON, static_cast<coap_pdu_code_t>(message.method),
                                  coap_new_message_id(session), coap_session_max_pdu_size(session));
  uint8_t token[8];
  size_t token_size = 0;
  coap_session_new_token(session, &token_size, token);
  coap_add_token(pdu, token_size, token);
  for (const std::string& part : message.path) add_text(pdu, COAP_OPTION_URI_PATH, part);
  if (message.format)
    add_number(pdu, COAP_OPTION_CONTENT_FORMAT, static_cast<uint32_t>(*message.format));
  for (const std::string& part : message.query) add_text(pdu, COAP_OPTION_URI_QUERY, part);
  if (message.accept) add_number(pdu, COAP_OPTION_ACCEPT, static_cast<uint32_t>(*message.accept));
  if (block) add_number(pdu, COAP_OPTION_BLOCK1, *block << 4 | 8u | 6u);
  const std::string key(reinterpret_cast<const char*>(token), token_size);
  open_[key] = {std::move(then),
                std::chrono::steady_clock::now() + std::chrono::seconds(timing_.answer_s_max)};
  if (block) {
    coap_add_data(pdu, message.body.size(), bytes_of(message.body));
  } else if (!message.body.empty()) {
    auto* kept = new std::string(message.body);
    coap_add_data_large_request(
        session, pdu, kept->size(), bytes_of(*kept),
        [](coap_session_t*, void* text) { delete static_cast<std::string*>(text); }, kept);
  }
  if (coap_send(session, pdu) == COAP_INVALID_MID) broken_ = "the message could not be sent";
}

void Transport::request(const Message& message, Then then) {
  send(session_, message, {}, std::move(then));
}
void Transport::request_block(const Message& message, uint32_t block, Then then) {
  send(session_, message, block, std::move(then));
}

void Transport::fetch(const std::string& uri, const Security& security, Then then) {
  const Target target = parse(uri);
  coap_session_t* session = open(uri, security, 0);
  if (session) others_.push_back(session);
  Message get;
  size_t at = 1;
  while (at < target.path.size()) {
    const size_t end = std::min(target.path.find('/', at), target.path.size());
    get.path.push_back(target.path.substr(at, end - at));
    at = end + 1;
  }
  send(session, get, {}, std::move(then));
}

void Transport::notify(const std::string& token, uint32_t number, int format,
                       const std::string& body) {
  if (!session_) return;
  coap_pdu_t* pdu =
      coap_pdu_init(COAP_MESSAGE_CON, COAP_RESPONSE_CODE_CONTENT, coap_new_message_id(session_),
                    coap_session_max_pdu_size(session_));
  coap_add_token(pdu, token.size(), bytes_of(token));
  add_number(pdu, COAP_OPTION_OBSERVE, number & 0xffffff);
  add_number(pdu, COAP_OPTION_CONTENT_FORMAT, static_cast<uint32_t>(format));
  coap_add_data(pdu, body.size(), bytes_of(body));
  notifying_ = true;
  notified_token_ = token;
  if (coap_send(session_, pdu) == COAP_INVALID_MID) broken_ = "the notification could not be sent";
}

void Transport::run(uint32_t wait_ms) {
  coap_io_process(context_, std::max(1u, wait_ms));
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [token, one] : open_)
    if (now > one.until) broken_ = "no answer";
  if (!broken_.empty()) {
    const std::string why = std::move(broken_);
    broken_.clear();
    close();
    callbacks_.broken(why);
    return;
  }
  // Nothing waits for an acknowledgement any more: so the notification was acknowledged.
  if (notifying_ && coap_can_exit(context_)) {
    notifying_ = false;
    callbacks_.notified(true);
  }
}

}  // namespace lwm2m_peer
