package im

import "unicode/utf8"

// Check reports why a content may not be sent: it is too large, of an unknown
// type, or text that is not UTF-8.
func (c Content) Check() error {
	if len(c.Body) > MaxBody {
		return Errorf(TooLarge, "a message has at most %d bytes", MaxBody)
	}
	switch c.Type {
	case ContentText:
		if !utf8.Valid(c.Body) {
			return Errorf(Invalid, "a text message must be valid UTF-8")
		}
	case ContentCustom:
	default:
		return Errorf(Invalid, "unknown content type %d", c.Type)
	}
	return nil
}
