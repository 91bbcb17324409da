public import Hummingbird
public import JWTKit
